"""`isthmus tune` with the synthesizer itself: three small trials, judged, and the first one again."""

from __future__ import annotations

import multiprocessing
import threading
import time
from pathlib import Path

import pytest
import yaml

from components.errors import DataError, InternalError
from components.profiler.reading import read_span
from components.synthesizer_trainer.core import rare_events
from components.tuner.core.scoring import MEASURES
from pipeline import starter, tune_worker, tuning
from pipeline.config.load import load_deployment
from pipeline.tune_answer import answer

pytestmark = [pytest.mark.tfx, pytest.mark.slow]

#: More steps may end with the same weights; another ridge never does.
SPACE = (
    "max_steps: {choices: [20, 30]}\nvar_order: {choices: [1, 2]}\n"
    "ridge: {low: 0.000001, high: 0.01, scale: log}\n"
)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    config = starter.write(tmp_path_factory.mktemp("tune") / "fleet", size="small")
    data = yaml.safe_load(config.read_text())
    data["synthesizer"] |= {"max_steps": 20, "evaluate_every": 10}
    # Short windows: few rows are held back, but enough stretches of them for a control.
    locale = next(found for found in data["locales"] if found["name"] == "eu-west")
    data["generation"]["sessions"] = 2
    locale["privacy"]["gate"] = {"attacks": {"window_rows": 6, "bootstrap_samples": 100}}
    config.write_text(yaml.safe_dump(data))
    return load_deployment(config)


def tuned(deployment, folder, trials):
    """A search whose time is over when so many trials are done: nothing is repeated."""
    folder.mkdir()
    (folder / "space.yaml").write_text(SPACE)
    done, now = [], [0.0]

    def tell(trial, repeat, values, outcome, known):
        done.extend([trial] if outcome else [])
        now[0] = 7200.0 if len(done) == trials else 0.0

    options = tuning.Options(space=folder / "space.yaml", folder=folder / "out", minutes=60)
    return tuning.tune_locale(deployment, "eu-west", options, tell, clock=lambda: now[0])


def test_three_trials_are_trained_and_judged_and_the_first_comes_again(deployment, tmp_path):
    first = tuned(deployment, tmp_path / "a", 3)
    outcomes = [trial.outcomes[0] for trial in first.study.trials]
    assert len(outcomes) == 3 and first.study.parts == tuple(MEASURES) and first.study.ended == "time"
    for outcome in outcomes:
        assert outcome.status == "done" and 0 < outcome.steps <= 30 and outcome.cpu_s > 0
        assert all(0 <= value <= 1 for value in outcome.measures.values())
        # Far from noise, and no copy of the held-back rows.
        assert 0.9 < outcome.measures["marginal_fidelity"] < 1 and -0.3 < outcome.excess < 0.3
    # Other values, other rows.
    assert len({outcome.measures["step_change_fidelity"] for outcome in outcomes}) == 3
    again = tuned(deployment, tmp_path / "b", 1).study.trials[0].outcomes[0]
    assert (again.measures, again.excess) == (outcomes[0].measures, outcomes[0].excess)
    found = answer(first, "eu-west", 60.0)
    assert [trial["runs"][0]["hindrance"] for trial in found["trials"]] == [o.hindrance for o in outcomes]
    # Neither models nor rows stay behind, and what is kept is the operator's alone.
    kept = [path for path in (tmp_path / "a" / "out").rglob("*") if path.name != ".lock"]
    assert {path.suffix for path in kept} == {".json", ".log"}
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}


def kill_the_next_child():
    while not (found := multiprocessing.active_children()):
        time.sleep(0.01)
    found[0].kill()


def test_a_trial_that_breaks_or_is_killed_is_told_in_one_line(deployment, tmp_path):
    configs, trainer = tuning.check_locale(deployment, "eu-west")
    root = Path(deployment.root) / "eu-west"
    rows = read_span(configs.example_gen, root, locale="eu-west", span="latest", seed=7)
    rare = rare_events.decide(rows.table, deployment.dataset, trainer.rare_events, "here")
    log = tmp_path / "trials.log"
    tune_worker.start_fork_server(log)

    def run(fit, rare=rare):
        parts = (fit, rows.table.slice(0, 0), rows.table, trainer, configs.generation, configs.evaluator)
        return tune_worker.run_apart(tune_worker.Job(*parts, rare, 7, "here", str(log)), None)

    with pytest.raises(DataError, match="here"):
        run(rows.table.slice(0, 20))
    with pytest.raises(InternalError, match=r"AttributeError \(see .*trials.log\)"):
        run(rows.table, rare=None)
    assert "Traceback" in log.read_text()
    threading.Thread(target=kill_the_next_child, daemon=True).start()
    with pytest.raises(InternalError, match="exit code -9"):
        run(rows.table)
