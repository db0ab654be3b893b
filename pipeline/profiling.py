"""`isthmus profile`: a locale's profile as JSON values, and the proposed section as a YAML fragment."""

from __future__ import annotations

import dataclasses
import textwrap
from pathlib import Path
from typing import Any, Literal

import yaml

from components.errors import ConfigError, nearest_name
from components.profiler.core import likeness, profile, proposing
from components.profiler.core.profile import Profile
from components.profiler.core.proposing import Proposal
from components.profiler.reading import SpanRows, read_span
from pipeline.config.model import Deployment
from pipeline.config.resolve_regional import regional_configs

#: Of the form of what `--json` prints.
VERSION = 1
STAYS = (
    "This profile holds statistics of raw rows. It is for the operator of the region, and stays there: no "
    "gate has seen it, and no privacy budget covers it."
)


def profile_locale(deployment: Deployment, name: str, span: int | None) -> dict[str, Any]:
    """Reads a locale's rows and describes them.

    Args:
      deployment: The deployment.
      name: The locale.
      span: Its number; None takes the one that the deployment says.

    Returns:
      JSON values; what they mean stands in docs/profile.md.

    Raises:
      ConfigError: the locale is not in the deployment.
      DataError: its rows cannot be read.
    """
    known = [locale.name for locale in deployment.locales]
    if name not in known:
        raise ConfigError(
            f"--locale: unknown locale '{name}'{nearest_name(name, known)}; allowed: {', '.join(known)}"
        )
    configs, wanted = regional_configs(deployment, name), deployment.locale(name).span
    chosen: int | Literal["latest"] = wanted if span is None else span
    rows = read_span(
        configs.example_gen,
        Path(deployment.root) / name,
        locale=name,
        span=chosen,
        seed=deployment.seed,
    )
    ruled = frozenset(rule.column for rule in configs.example_gen.pii)
    found = profile.describe(rows.table, rows.series, rows.train, deployment.dataset, ruled)
    answer = {
        "version": VERSION,
        "notice": STAYS,
        "locale": name,
        "span": rows.span,
        **_properties(found, rows),
        "proposal": None,
        "expected": None,
    }
    if configs.synthesizer is not None:
        proposal = proposing.propose(found, configs.synthesizer)
        answer["proposal"], answer["expected"] = _proposal(proposal), _expected(proposal, found)
    return answer


def fragment(answer: dict[str, Any]) -> str:
    """The proposed section as YAML, for the locale's entry in the deployment file; reasons as comments.

    Raises:
      ConfigError: the locale is open, so nothing is proposed.
    """
    if answer["proposal"] is None:
        raise ConfigError(
            f"-o: locale {answer['locale']} is open and has no synthesizer; allowed: a restricted locale"
        )
    said = f"Proposed by isthmus profile for locale {answer['locale']}, span {answer['span']}: a section of "
    said += f"that locale's entry. {STAYS} "
    said += "Take the comments out of a file that others read, and know that values follow from the rows too."
    lines = [f"# {line}" for line in textwrap.wrap(said, 106)]
    lines += [f"# WARNING: {text}" for text in answer["proposal"]["warnings"]]
    lines.append("synthesizer:")
    for setting in answer["proposal"]["settings"]:
        mark = (
            f"departs from the default {_flow(setting['default'])}" if setting["departs"] else "the default"
        )
        lines += [f"  # {line}" for line in textwrap.wrap(f"{mark}: {setting['reason']}", 104)]
        lines.append(f"  {setting['key']}: {_flow(setting['value'])}")
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=200).removesuffix("...\n").strip()


def _properties(found: Profile, rows: SpanRows) -> dict[str, Any]:
    columns = []
    for column in found.columns:
        course = column.course
        modelled = "latent series" if column.latent else "levels" if column.varies else "constant"
        columns.append(
            {
                "name": column.name,
                "declared": column.declared,
                "kind": column.held.kind,
                "missing": round(column.held.missing, 4),
                "distinct": column.held.distinct,
                "seen_once": column.held.seen_once,
                "longest_gap_s": column.longest_gap_s,
                "modelled_as": modelled,
                "course": {k: _rounded(v) for k, v in dataclasses.asdict(course).items()} if course else None,
            }
        )
    labels = None
    if found.labels is not None:
        labels = [{**dataclasses.asdict(kind), "rare": kind.rare} for kind in found.labels]
    return {
        "rows": {
            "read": rows.rows_read,
            "set_aside": rows.rows_bad,
            "profiled": found.rows,
            "labelled": found.labelled_rows,
            "train": found.train_rows,
        },
        "cadence": {key: _rounded(value) for key, value in dataclasses.asdict(found.cadence).items()},
        "columns": columns,
        "columns_not_read": list(rows.ignored),
        "labels": labels,
        "risks": [dataclasses.asdict(risk) for risk in found.risks],
        "remarks": list(rows.remarks),
    }


def _proposal(proposal: Proposal) -> dict[str, Any]:
    settings = [{**dataclasses.asdict(setting), "departs": setting.departs} for setting in proposal.settings]
    return {"section": proposal.section(), "settings": settings, "warnings": list(proposal.warnings)}


def _expected(proposal: Proposal, found: Profile) -> dict[str, Any]:
    cost = None
    if proposal.cost is not None:
        factor = 2 if proposal.cost.measured else None
        minutes, memory_mb = round(proposal.cost.cpu_s / 60, 2), round(proposal.cost.peak_mb)
        cost = {"cpu_minutes": minutes, "peak_memory_mb": memory_mb, "within_factor": factor}
    if proposal.cost is None:
        reason = "docs/differential-privacy.md has the measured utility of the private methods"
        return {"cost": None, "fidelity": {"like": None, "reason": reason, "bands": {}}}
    band = likeness.expect(found)
    bands = {name: [round(low, 3), round(high, 3)] for name, (low, high) in band.bands.items()}
    return {"cost": cost, "fidelity": {"like": band.like, "reason": band.reason, "bands": bands}}


def _rounded(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value
