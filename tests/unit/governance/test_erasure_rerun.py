"""An erasure that was killed, and one whose run makes again what it took away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.release.keys import load_public_key
from components.release.storage import open_store
from components.release.verify import RevokedReleaseError, verify_release
from pipeline import retaining
from pipeline.erasure import drill
from pipeline.erasure.evidence import Evidence

pytestmark = pytest.mark.heavy

SUBJECT = ("--locale", "eu-west", "--series", "zoe")


def packs(locale) -> list[Evidence]:
    folder = locale.root / "eu-west" / "governance" / "erasures"
    return [
        Evidence.model_validate_json(file.read_bytes()) for file in sorted(folder.glob("*/evidence.json"))
    ]


class Killed(BaseException):
    """Stands for a kill: nothing of ours catches it."""


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 11, 17, 18, 19])
def test_killed_at_any_step_a_rerun_of_the_same_erasure_finishes(locale, isthmus, monkeypatch, step):
    locale.source("bob", span=1)
    locale.source("bob", span=2)
    hers = locale.run("zoe", "bob", span=1)
    his = locale.run("bob", rows=21, span=2, before=hers)
    left = [step]

    def counted(function):
        def call(*arguments, **options):
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return function(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        for module, name in (
            (drill, "write_pack"),
            (drill, "revoke_release"),
            (drill, "open_audit_log"),
            (retaining.shutil, "rmtree"),
        ):
            patch.setattr(module, name, counted(getattr(module, name)))
        with pytest.raises(Killed):
            isthmus("erase", *SUBJECT, "--apply")
    if 4 <= step <= 17:  # while it deletes, the pack on disk says what was revoked
        assert [release["outcome"] for release in packs(locale)[0].releases] == ["revoked"]
    status, text = isthmus("erase", *SUBJECT, "--apply")
    assert status == 0, text
    made = ("examples", "quarantine", "statistics", "anomalies", "drift", "model", "synthetic", "pushed")
    assert not any(hers[kind].exists() for kind in made)
    assert not his["drift"].exists() and his["model"].exists()
    assert not list(locale.root.glob("eu-west/artifacts/*/*/.deleted-*"))
    key = load_public_key(str(locale.root / "key.pub"))
    with pytest.raises(RevokedReleaseError):
        verify_release(open_store(str(hers["release"])), "", {"eu-west": [key]})
    # One pack, with everything in it, whichever attempt found it.
    (evidence,) = packs(locale)
    (note,) = hers["release"].parent.glob("*.revoked-*.json")
    assert json.loads(note.read_text())["reason"] == f"erasure {evidence.erasure_id}"
    assert key.verifies(evidence) and evidence.applied and evidence.examples
    assert set(evidence.deleted) >= {str(hers[kind]) for kind in made} | {str(his["drift"])}
    assert evidence.retrain == (str(hers["model"]),)
    assert [release["uri"] for release in evidence.releases] == [str(hers["release"])]
    assert any(entry.kind == "erasure" for entry in locale.region.audit.chain.read())


def test_a_pack_that_somebody_else_wrote_is_not_gone_on_with(locale, isthmus):
    from components.release.keys import new_private_key

    locale.source("bob")
    hers = locale.run("zoe")
    assert isthmus("erase", *SUBJECT, "--apply")[0] == 0
    (evidence,) = packs(locale)
    forged = new_private_key().sign(evidence.model_copy(update={"artifacts": (str(locale.root / "key"),)}))
    folder = locale.root / "eu-west" / "governance" / "erasures" / evidence.erasure_id
    (folder / "evidence.json").write_bytes(forged.to_bytes())
    assert isthmus("erase", *SUBJECT, "--apply")[0] == 0
    assert (locale.root / "key").exists() and len(packs(locale)) == 2 and not hers["model"].exists()


def test_a_release_that_has_left_the_exchange_stops_nothing(locale, isthmus):
    import shutil

    locale.source("bob")
    hers = locale.run("zoe")
    shutil.rmtree(hers["release"])
    assert isthmus("erase", *SUBJECT, "--apply")[0] == 0
    assert [found["outcome"] for found in packs(locale)[0].releases] == ["no longer in the exchange"]


# --- made again ---


class Runner:
    """Stands in for the runner: one run of the locale and the centre, with an outcome to choose."""

    def __init__(self, locale) -> None:
        self.locale, self.calls, self.exit_status, self.pushes, self.stale = locale, [], 0, True, False
        self.killed_after = False

    def __call__(self, deployment, config, locales, stage, small, centre=False):
        from pipeline.run_state import PipelineState, RunState

        self.calls.append((locales, stage, small, centre))
        made = self.locale.run("bob", rows=30)
        push = json.loads((made["pushed"] / "push.json").read_text())
        central = self.locale.root / "central" / "pushed"
        central.mkdir(parents=True, exist_ok=True)
        detector = {
            "pushed": self.pushes,
            "reason": "the verdict is NOT_BLESSED",
            "name": "detector",
            "version": 2,
            "uri": "registry/detector/2",
            "content_digest": "d" * 64,
            "releases": [{"digest": "e" * 64 if self.stale else push["content_digest"]}],
        }
        (central / "push.json").write_text(json.dumps(detector))
        state = RunState("r1", "fleet", "f", "0", 7, "now", {}, PipelineState(), stage)
        state.locales["eu-west"] = PipelineState(components=[{"outputs": {"pushed": str(made["pushed"])}}])
        state.central = PipelineState(components=[{"outputs": {"pushed": str(central)}}])
        state.exit_status = self.exit_status
        state.exit_reason = "a verdict was negative: eu-west NOT_BLESSED" if self.exit_status else ""
        if self.killed_after:
            raise Killed
        return state, Path("runs"), Path("report.html")


@pytest.fixture
def runner(locale, monkeypatch) -> Runner:
    from pipeline.commands import erasure

    made = Runner(locale)
    monkeypatch.setattr(erasure, "run_once", made)
    return made


RETRAIN = ("--apply", "--retrain")


def test_what_was_affected_is_run_again_and_the_new_release_and_detector_are_signed(locale, isthmus, runner):
    locale.source("bob")
    hers = locale.run("zoe", "bob")
    status, text = isthmus("erase", *SUBJECT, *RETRAIN, "--small")
    assert status == 0, text
    assert runner.calls == [(["eu-west"], "merge", True, True)]
    (evidence,) = packs(locale)
    assert load_public_key(str(locale.root / "key.pub")).verifies(evidence)
    found = evidence.retraining
    assert (found.state, found.run_id, found.exit_status, found.why) == ("done", "r1", 0, "")
    (release,) = found.releases
    assert release["uri"] != str(hers["release"]) and Path(release["uri"]).exists()
    assert len(release["content_digest"]) == 64 and release["span"] == "1"
    assert found.detectors == (
        {"name": "detector", "version": "2", "uri": "registry/detector/2", "content_digest": "d" * 64},
    )
    assert f"release {release['uri']}, content {release['content_digest']}" in text
    entries = [e.body for e in locale.region.audit.chain.read() if e.kind == "erasure"]
    assert len(entries) == 2 and entries[0]["erasure_id"] == entries[1]["erasure_id"]
    # Nothing is left: again is a new erasure that finds nothing and runs nothing.
    assert isthmus("erase", *SUBJECT, *RETRAIN)[0] == 0 and len(runner.calls) == 1


def test_without_the_flag_the_evidence_says_what_is_left_and_a_later_call_does_it(locale, isthmus, runner):
    locale.source("bob")
    locale.run("zoe")
    status, text = isthmus("erase", *SUBJECT, "--apply")
    assert status == 0 and not runner.calls
    assert "- Made again: left to be done (`isthmus erase ... --apply --retrain`, or `isthmus run`)." in text
    assert packs(locale)[0].retraining.state == "left to be done"
    assert isthmus("erase", *SUBJECT, *RETRAIN)[0] == 0
    (evidence,) = packs(locale)
    assert evidence.retraining.state == "done" and len(evidence.releases) == 1


def test_while_a_source_has_the_subject_nothing_is_run(locale, isthmus, runner):
    locale.source("zoe")
    locale.run("zoe")
    status, text = isthmus("erase", *SUBJECT, *RETRAIN)
    assert status == 1 and not runner.calls
    assert "Made again: left to be done (the sources still have rows of the subject)" in text
    locale.source("bob")
    assert isthmus("erase", *SUBJECT, *RETRAIN)[0] == 0
    (evidence,) = packs(locale)
    assert evidence.retraining.state == "done" and evidence.complete


@pytest.mark.parametrize(
    ("change", "status", "why"),
    [
        ({"exit_status": 1}, 1, "a verdict was negative: eu-west NOT_BLESSED"),
        ({"exit_status": 2}, 2, "a verdict was negative: eu-west NOT_BLESSED"),
        ({"pushes": False}, 1, "the run pushed no detector: the verdict is NOT_BLESSED"),
        ({"stale": True}, 1, "the detector does not stand on the new release"),
    ],
)
def test_a_run_that_does_not_replace_it_leaves_it_to_be_done(locale, isthmus, runner, change, status, why):
    locale.source("bob")
    locale.run("zoe")
    vars(runner).update(change)
    found, text = isthmus("erase", *SUBJECT, *RETRAIN)
    assert found == status and f"exit status {runner.exit_status} ({why})" in text
    assert packs(locale)[0].retraining.state == "left to be done"
    runner.exit_status, runner.pushes, runner.stale = 0, True, False
    assert isthmus("erase", *SUBJECT, *RETRAIN)[0] == 0
    assert [evidence.retraining.state for evidence in packs(locale)] == ["done"]


def test_a_run_that_cannot_start_is_bad_input_and_the_evidence_says_what_is_left(
    locale, isthmus, monkeypatch
):
    from components.errors import DataError
    from pipeline.commands import erasure

    def refuse(*arguments, **options):
        raise DataError("source 'eu-{SPAN}.csv': no file matches.")

    locale.source("bob")
    hers = locale.run("zoe")
    monkeypatch.setattr(erasure, "run_once", refuse)
    status, text = isthmus("erase", *SUBJECT, *RETRAIN)
    assert status == 2 and "no file matches" in text
    (evidence,) = packs(locale)
    assert evidence.applied and evidence.retraining.state == "left to be done" and evidence.open
    assert not hers["model"].exists()


def test_what_was_made_again_stays_so_when_only_a_source_was_left_open(locale, isthmus, runner):
    locale.source("bob", span=1)
    locale.run("zoe", span=1)
    locale.region.push(rows=40, span=2)
    assert isthmus("erase", *SUBJECT, *RETRAIN)[0] == 1  # the source of span 2 is not there
    (before,) = packs(locale)
    assert before.retraining.state == "done" and not before.complete
    assert isthmus("erase", *SUBJECT, "--apply", "--gone", "2")[0] == 0
    (after,) = packs(locale)
    assert after.retraining == before.retraining and after.complete and len(runner.calls) == 1


def test_killed_after_the_run_and_before_its_evidence_a_rerun_finishes(locale, isthmus, runner):
    locale.source("bob")
    locale.run("zoe")
    runner.killed_after = True
    with pytest.raises(Killed):
        isthmus("erase", *SUBJECT, *RETRAIN)
    assert packs(locale)[0].retraining.state == "left to be done"
    runner.killed_after = False
    assert isthmus("erase", *SUBJECT, *RETRAIN)[0] == 0
    (evidence,) = packs(locale)
    assert evidence.retraining.state == "done" and evidence.applied


def test_a_release_of_a_span_that_is_not_run_is_said_to_have_no_successor(locale, isthmus, runner):
    locale.source("bob", span=1)
    locale.source("bob", span=4)
    locale.run("zoe", span=4)
    status, text = isthmus("erase", *SUBJECT, *RETRAIN)
    assert status == 0 and "nothing takes the place of releases of span-4" in text


@pytest.mark.parametrize("arguments", [("--retrain",), ("--apply", "--small")])
def test_flags_that_mean_nothing_alone_are_refused(locale, isthmus, runner, arguments):
    status, text = isthmus("erase", *SUBJECT, *arguments)
    assert status == 2 and "found without" in text and not runner.calls
