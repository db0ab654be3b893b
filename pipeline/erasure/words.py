"""The evidence of an erasure as Markdown, for people."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.erasure.evidence import Evidence, SpanSearch


def words(evidence: Evidence) -> list[str]:
    """The evidence as Markdown, a line each."""
    rows = {uri: sum(splits.values()) for uri, splits in evidence.examples.items()}
    signed = f" by key {evidence.signature.key_id}" if evidence.signature else ""
    done = "deleted" if evidence.applied else "to be deleted" if evidence.begun else "would be deleted"
    return [
        f"# Erasure {evidence.erasure_id} in locale {evidence.locale}",
        "",
        f"{evidence.at}; signed{signed} in `evidence.json`. {_state(evidence)}",
        "",
        f"Subject: a value of `{evidence.column}`, stored {evidence.stored_as}; SHA-256 of salt "
        f"`{evidence.subject_salt}`, a zero byte and the value: `{evidence.subject_sha256}`.",
        "",
        f"- Examples with rows of the subject: {len(rows)} ({sum(rows.values())} rows).",
        f"- Artifacts made from them, {done}: {len(evidence.artifacts)}.",
        f"- Results of other spans that were measured against them, {done}: {len(evidence.compared)}.",
        *(f"  - {uri}" for uri in evidence.compared),
        f"- Releases made from them: {len(evidence.releases)}.",
        *(f"  - {release['uri']}: {release['outcome']}" for release in evidence.releases),
        *_listed(
            "Releases of other rows whose evaluation was measured against them, not revoked",
            evidence.compared_releases,
        ),
        f"- Detectors built on those releases: {len(evidence.detectors)}.",
        *(f"  - {detector['uri']}" for detector in evidence.detectors),
        *_listed("At the centre, made from those releases, not deleted", evidence.central),
        f"- To be made again: {len(evidence.retrain)}.",
        *(f"  - {uri}" for uri in evidence.retrain),
        *_retraining(evidence),
        *(f"- Note: {note}" for note in evidence.notes),
        *_sources(evidence),
    ]


def _state(evidence: Evidence) -> str:
    if evidence.applied:
        return "Applied."
    return "Begun, not finished: run it again." if evidence.begun else "A drill: nothing was changed."


def _listed(title: str, items: Iterable[str]) -> list[str]:
    items = list(items)
    return [f"- {title}: {len(items)}.", *(f"  - {item}" for item in items)] if items else []


def _retraining(evidence: Evidence) -> list[str]:
    found = evidence.retraining
    if found.state == "not needed":
        return []
    ran = f", run {found.run_id}, exit status {found.exit_status}" if found.run_id else ""
    lines = [f"- Made again: {found.state}{ran}{f' ({found.why})' if found.why else ''}."]
    for release in found.releases:
        lines.append(f"  - release {release['uri']}, content {release['content_digest']}")
    for detector in found.detectors:
        lines.append(f"  - detector {detector['uri']}, content {detector['content_digest']}")
    return lines


def _sources(evidence: Evidence) -> list[str]:
    searched = [str(found.span) for found in evidence.spans if found.searched]
    lines = [f"- Spans whose source was searched: {', '.join(searched) or 'none'}."]
    unsearched = [found for found in evidence.spans if not found.searched]
    if unsearched:
        lines.append("- Spans whose source was NOT searched:")
        lines += [f"  - {_unsearched(found)}" for found in unsearched]
    if evidence.sources:
        lines.append(
            "- NOT complete: source files still have rows of the subject; remove them, then run again:"
        )
        lines += [f"  - {name}: {count} rows" for name, count in sorted(evidence.sources.items())]
    elif not evidence.complete:
        lines.append(
            "- NOT complete: whether the source of those spans has rows of the subject is not known; put it "
            "back, or say `--gone SPAN` where it was destroyed."
        )
    else:
        lines.append("- The sources that were searched have no row of the subject.")
    return lines


def _unsearched(found: SpanSearch) -> str:
    traces = f" (trace: {', '.join(found.traces)})" if found.traces else ""
    stated = "; destroyed, as the operator states" if found.stated_gone else ""
    return f"span {found.span}{traces}: {found.why}{stated}"
