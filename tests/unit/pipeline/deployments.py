"""A small deployment of one restricted locale, for tests of what a configuration may say."""

from __future__ import annotations

import copy
from pathlib import Path

from pipeline.config.load import load_deployment
from pipeline.config.model import Deployment
from tests.support.deployments import Change, Data, written


def restricted(dataset: Data, locale: Data) -> Data:
    """A valid deployment.

    Args:
      dataset: Its section, but for the label.
      locale: Of `eu-west`, but for name, sharing, source and keys.
    """
    return {
        "version": 1,
        "name": "fleet",
        "root": "runs",
        "dataset": {"series": ["asset"], "label": "label", "label_kind": "kind", **dataset},
        "locales": [
            {
                "name": "eu-west",
                "sharing": "restricted",
                "source": {"pattern": "eu/*.csv"},
                "signing_key": {"file": "keys/eu.pem"},
                "trusted_key": "keys/eu.pem.pub",
                **locale,
            }
        ],
        "generation": {"grid": "regular", "sessions": 3},
        "exchange": {"uri": "exchange"},
        "central": {"quorum": 1, "test_set": {"pattern": "test/*.csv"}},
    }


def loaded(folder: Path, valid: Data, change: Change = lambda _: None) -> Deployment:
    """The deployment, read from a file in this folder after a change of it."""
    found = copy.deepcopy(valid)
    change(found)
    return load_deployment(written(folder, found))
