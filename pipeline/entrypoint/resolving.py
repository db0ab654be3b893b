"""A zone's first step: which files, which span, which baseline, which releases. Imports no TensorFlow.

A locale's ledger is opened here as well, before anything is trained, as a local run does it.

Its answers are parameters of the steps after it, and so parts of their cache keys: KFP's cache sees
parameters, not what is in a bucket.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.example_gen.config import PiiRule
from components.example_gen.core.pii import key_id
from components.example_gen.core.spans import resolve_sources
from components.merge_gen.config import MergeGenConfig
from components.merge_gen.resolution import resolve_releases
from components.monitoring import BaselinesConfig
from pipeline.entrypoint.state import RELEASE, STATISTICS, State
from pipeline.history import chosen

#: The pipeline parameter `span` where nobody chose one.
AS_CONFIGURED = -1


def answer(question: Mapping[str, Any], state: State) -> dict[str, Any]:
    """The output parameters of a first step.

    Args:
      question: `pipeline.compiler.zones`, with its placeholders filled.
      state: Of the zone.

    Raises:
      DataError: a source, a span, the state or the exchange cannot be read.
      ConfigError: a key cannot be read, or the locale's ledger was opened with another budget.
      ChainError: the ledger does not verify, or does not count what was published.
    """
    return _centre(question) if question["zone"] == "central" else _region(question, state)


def _region(question: Mapping[str, Any], state: State) -> dict[str, Any]:
    asked = int(question["asked_span"])
    span, _, fingerprint = resolve_sources(
        question["patterns"], question["span"] if asked == AS_CONFIGURED else asked
    )
    statistics, statistics_digest = state.before(STATISTICS, span)
    release, release_digest = state.before(RELEASE, span)
    wanted = BaselinesConfig.model_validate(question["baselines"])
    earlier = state.earlier(span, max(1, wanted.window), wanted.reference)
    rules = [PiiRule.model_validate(rule) for rule in question["pii"]]
    if question.get("budget"):
        _open_budget(question["budget"])
    keys = {f"key_id_{i}": key_id(rule.key.read()) for i, rule in enumerate(rules) if rule.key}
    return {
        "span": span,
        "fingerprint": fingerprint,
        "statistics_baseline": statistics,
        "statistics_baseline_digest": statistics_digest,
        # With a digest for each profile: what a span was compared with is in the cache key.
        "baselines": chosen(earlier, span, wanted).to_exec_property(),
        "release_baseline": release,
        "release_baseline_digest": release_digest,
        **keys,
    }


def _open_budget(told: Mapping[str, Any]) -> None:
    from components.governance.config import BudgetConfig, LedgerAccess
    from components.governance.opening import open_budget  # seconds of imports that others save
    from components.release.options import StorageOptions

    open_budget(
        LedgerAccess.model_validate(told["access"]),
        BudgetConfig.model_validate(told["budget"]),
        str(told["exchange"]),
        StorageOptions.model_validate(told["storage"]),
    )


def _centre(question: Mapping[str, Any]) -> dict[str, Any]:
    resolution = resolve_releases(MergeGenConfig.model_validate(question["merge"]))
    ideal = question["ideal"]
    return {
        "releases": resolution.to_exec_property(),
        "releases_fingerprint": resolution.fingerprint,
        "test_fingerprint": resolve_sources(question["test"])[2],
        "ideal_fingerprint": resolve_sources(ideal, question["ideal_span"])[2] if ideal else "",
        "ideal_span": _ideal_span(question["ideal_span"]),
    }


def _ideal_span(span: Any) -> int:
    return AS_CONFIGURED if span == "latest" else int(span)  # ExampleGen's NEWEST_SPAN
