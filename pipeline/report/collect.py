"""Builds a `RunReport` from a run's folder. Never raises for a part that is absent."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from components.egress.words import words_of
from components.version import __version__
from pipeline import outward
from pipeline.report.collect_centre import collect_centre
from pipeline.report.collect_region import collect_region
from pipeline.report.model import CentralReport, LineageEdge, LocaleReport, RunHeader, RunReport, Verdict
from pipeline.report.reading import as_count, as_list, as_mapping, as_sentences, as_text, read_run
from pipeline.report.words import verdict_of


def collect(run_dir: Path) -> RunReport:
    """Reads `run.json` and every artifact that it names.

    Args:
      run_dir: `<root>/runs/<run_id>`.

    Returns:
      The report; parts that a run does not have carry the reason in words.

    Raises:
      DataError: `run.json` is missing or is no JSON object: then there is no run to report on.
    """
    run_dir = Path(run_dir)
    run = read_run(run_dir)
    names = frozenset(map(str, as_list(run.get("words"))))
    locales = tuple(
        _outward(collect_region(locale, entry), entry, names)
        for locale, entry in as_mapping(run.get("locales")).items()
    )
    central = collect_centre(run.get("central"))
    header = _header(run, run_dir)
    return RunReport(
        isthmus_version=header.versions.get("isthmus", __version__),
        run=header,
        verdict=verdict_of(header, locales, central),
        locales=locales,
        central=central,
        lineage=_lineage(central),
    )


def collect_own(run_dir: Path, locale: str) -> RunReport:
    """The report that stays in a locale: its own part whole, with curves of real rows, and nothing else.

    Raises:
      DataError: there is no such run.
    """
    run = read_run(Path(run_dir))
    entry = as_mapping(as_mapping(run.get("locales")).get(locale))
    own = collect_region(locale, entry)
    central = collect_centre(None)
    header = _header(run, Path(run_dir))
    sentence = (
        f"The part of {locale}, for {locale} alone: it shows curves of real rows and stays below its root."
    )
    return RunReport(
        isthmus_version=header.versions.get("isthmus", __version__),
        run=header,
        verdict=Verdict(tone="unknown", sentence=sentence),
        locales=(own,),
        central=central,
        lineage=(),
    )


def _outward(part: LocaleReport, entry: Any, names: frozenset[str]) -> LocaleReport:
    """A restricted locale's part as it may leave; an entry that does not say what it is counts as one."""
    if part.sharing == "open":
        return part
    policy = as_mapping(as_mapping(entry).get("egress"))
    if policy.get("real_curves") != "binned" and part.curves.content is not None:
        where = (
            f"The egress policy of {part.locale} withholds curves of real rows; its own report shows them."
        )
        part = part.model_copy(update={"curves": type(part.curves)(absent=where)})
    if part.data_quality.content is not None:
        counts = type(part.data_quality)(content=part.data_quality.content.counts_only())
        part = part.model_copy(update={"data_quality": counts})
    names |= words_of([part.locale])
    return LocaleReport.model_validate(outward.report_of(part.model_dump(mode="json"), names))


def _header(run: dict[str, Any], run_dir: Path) -> RunHeader:
    started, finished = as_text(run.get("started_at")), as_text(run.get("finished_at"))
    return RunHeader(
        run_id=as_text(run.get("run_id"), run_dir.name),
        name=as_text(run.get("name"), "unnamed run"),
        started_at=started,
        finished_at=finished,
        seconds=_seconds_between(started, finished),
        config_digest=as_text(run.get("config_digest")),
        seed=as_count(run.get("seed")),
        exit_status=as_count(run.get("exit_status")),
        versions={name: as_text(value) for name, value in as_mapping(run.get("versions")).items()},
        exceptions=as_sentences(as_mapping(run.get("border")).get("exceptions") or []),
    )


def _seconds_between(started: str, finished: str) -> float | None:
    try:
        first, last = (
            datetime.datetime.fromisoformat(text.replace("Z", "+00:00")) for text in (started, finished)
        )
        return max(0.0, (last - first).total_seconds())
    except (ValueError, TypeError):  # absent, or one has a zone and the other has none
        return None


def _lineage(central: CentralReport) -> tuple[LineageEdge, ...]:
    merge = central.merge.content
    if merge is None:
        return ()
    push = central.push.content
    detector = "no detector was pushed"
    if push is not None and push.pushed:
        named = f"{push.name} version {push.version}".strip() if push.version else push.name
        detector = named or push.uri.rstrip("/").rpartition("/")[2] or "the detector"
    return tuple(
        LineageEdge(
            locale=release.locale,
            release_id=release.release_id,
            digest=release.digest,
            span=release.span,
            rows=release.rows,
            detector=detector,
        )
        for release in merge.accepted
    )
