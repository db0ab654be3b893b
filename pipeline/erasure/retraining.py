"""Making again what an erasure took away: locale and centre run, and the evidence says what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from components.release.keys import load_private_key
from components.release.manifest import utc_now
from pipeline.config.model import Deployment
from pipeline.erasure.drill import conclude
from pipeline.erasure.evidence import Evidence, Retraining
from pipeline.run_state import RunState, output_json

#: Runs the locale and the centre; gives the state that the run ended with.
Run = Callable[[], RunState]


def retrain(deployment: Deployment, evidence: Evidence, run: Run) -> Evidence:
    """Runs again what was affected, unless the sources still have the subject or nothing is left to do.

    Args:
      deployment: The deployment.
      evidence: Of an applied erasure.
      run: Runs the evidence's locale and the centre, as `isthmus run` does.

    Returns:
      The evidence, signed and on disk, with the new release and detector in it. Where the run's verdict
      was negative its `retraining` is still left to be done, and a rerun tries again.

    Raises:
      IsthmusError: what the run raised; the evidence on disk then says what is left, as before.
    """
    if evidence.retraining.state != "left to be done" or evidence.sources:
        return evidence
    state = run()
    key = load_private_key(deployment.locale(evidence.locale).signing_key)
    changed = {"retraining": _outcome(evidence, state), "at": utc_now()}
    return conclude(deployment, key, evidence.model_copy(update=changed))[0]


def _outcome(evidence: Evidence, state: RunState) -> Retraining:
    release = output_json(state.locales[evidence.locale].components, "pushed", "push.json")
    detector = output_json(state.central.components, "pushed", "push.json")
    revoked = {found["content_digest"] for found in evidence.releases}
    missing = _missing(state, release, detector, revoked)
    return Retraining(
        state="left to be done" if missing else "done",
        why=missing or _not_replaced(evidence, release),
        run_id=state.run_id,
        exit_status=state.exit_status,
        releases=_chosen(release, "uri", "release_id", "span", "content_digest"),
        detectors=_chosen(detector, "name", "version", "uri", "content_digest"),
    )


def _missing(state: RunState, release: dict[str, Any], detector: dict[str, Any], revoked: set[str]) -> str:
    """Why the run has not made everything again; empty where it has."""
    if state.exit_status:
        return state.exit_reason or f"the run ended with exit status {state.exit_status}"
    if not release.get("pushed"):
        return f"the run released nothing: {release.get('reason') or 'its Pusher did not run'}"
    if release["content_digest"] in revoked:
        return "the run released what was revoked"
    if not detector.get("pushed"):
        return f"the run pushed no detector: {detector.get('reason') or 'the centre did not get so far'}"
    used = {found.get("digest") for found in detector.get("releases", ())}
    if used & revoked or release["content_digest"] not in used:
        return "the detector does not stand on the new release"
    return ""


def _not_replaced(evidence: Evidence, release: dict[str, Any]) -> str:
    """Which revoked releases nothing takes the place of: a run makes the locale's present span."""
    spans = {found["uri"].rstrip("/").rsplit("/", 2)[-2] for found in evidence.releases}
    others = sorted(spans - {f"span-{release['span']}"})
    return f"nothing takes the place of releases of {', '.join(others)}" if others else ""


def _chosen(push: dict[str, Any], *names: str) -> tuple[dict[str, str], ...]:
    """These fields of what was pushed; nothing where nothing was."""
    return ({name: str(push[name]) for name in names},) if push.get("pushed") else ()
