"""Made-up fleets of any size."""

from __future__ import annotations

import yaml

from pipeline.deployables.fleet import Fleet
from tests.unit.kubeflow.conftest import KUBEFLOW


def demo() -> dict:
    """The demo's fleet as data, to be changed."""
    return yaml.safe_load((KUBEFLOW / "fleet.yaml").read_text())


def many_regions(count: int, mode: str = "bucket") -> Fleet:
    """A fleet of `count` restricted regions."""
    data = demo()
    template = data["regions"][1]
    data["exchange"]["s3"]["mode"] = mode
    data["regions"] = [
        {
            **template,
            "locale": f"region-{number:02}",
            "s3_principal": f"arn:aws:iam::{number:012}:role/isthmus-region-{number:02}",
            "gcs_member": f"serviceAccount:region-{number:02}@isthmus-fleet.iam.gserviceaccount.com",
            "artifacts": {
                **template["artifacts"],
                "pipeline_root": f"s3://isthmus-region-{number:02}-artifacts/runs",
            },
        }
        for number in range(count)
    ]
    return Fleet.model_validate(data)
