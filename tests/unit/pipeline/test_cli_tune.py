"""`isthmus tune` with a made-up trainer: what it writes, resumes, proposes and refuses."""

from __future__ import annotations

import io
import json
import os
import stat

import pytest
import yaml

from components.errors import DataError
from components.tuner.core.scoring import MEASURES, Outcome
from pipeline import starter, tuning
from pipeline.config.load import load_deployment
from pipeline.root_lock import hold_folder


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return starter.write(tmp_path_factory.mktemp("tune") / "fleet", size="small")


class Trainer:
    """Scores by `var_order`; keeps what it was given."""

    def __init__(self, killed_after=None, **scores):
        self.scores, self.killed_after, self.calls = scores, killed_after, []

    def __call__(self, fit, early, judged, trainer, seed, steps):
        if self.killed_after == len(self.calls):
            raise KeyboardInterrupt
        self.calls.append((fit.num_rows, early.num_rows, judged.num_rows, trainer, seed))
        steps(1, 2, {})
        found = self.scores.get(f"o{trainer.var_order}", 0.8)
        if isinstance(found, Exception):
            raise found
        measures = {name: found if more else 1 - found for name, more in MEASURES.items()}
        return Outcome("done", measures, 0.01, wall_s=0.5, cpu_s=0.25, steps=40, stopped="patience")


class Orders:
    """Proposes the orders 1, 3, 4."""

    def __init__(self, space, now, seed, folder):
        self.left = [{**now, "var_order": order} for order in (1, 3, 4)]

    def begin(self, score):
        pass

    def ask(self):
        return self.left.pop(0) if self.left else None

    def tell(self, values, score):
        pass


@pytest.fixture
def trainer(monkeypatch):
    def install(**options):
        made = Trainer(**options)
        monkeypatch.setattr(tuning, "_synthesizer", lambda *_: made)
        monkeypatch.setattr(tuning, "_oracle", Orders)
        return made

    return install


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Searches two keys by default: fewer panels to draw."""
    space = {name: tuning.DEFAULT_SPACE[name] for name in ("var_order", "ridge")}
    monkeypatch.setattr(tuning, "DEFAULT_SPACE", space)


def answer(isthmus, *arguments):
    exit_status, out, err = isthmus("tune", *arguments, "--json")
    assert exit_status == 0, err
    return json.loads(out)


def test_a_gain_is_proposed_as_keys_that_the_deployment_takes(isthmus, config, tmp_path, trainer):
    made = trainer(o3=0.9)
    found = answer(isthmus, config, "--locale", "eu-west", "-o", tmp_path / "out", "--repeats", "2")
    assert found["result"]["kind"] == "gain" and found["result"]["trial"] == 2
    assert found["proposal"] == {"var_order": 3} and found["configured"]["var_order"] == 2
    assert "No privacy budget was spent" in found["privacy"] and "stay there" in found["notice"]
    runs = found["trials"][2]["runs"]
    assert [run["repeat"] for run in runs] == [0, 1, 2] and runs[0]["score"] == pytest.approx(0.9)
    text = (tmp_path / "out" / "proposed.yaml").read_text()
    section = yaml.safe_load(text)
    assert section == {"synthesizer": {"var_order": 3}} and "# configured: 2" in text and "+0.1" in text
    data = yaml.safe_load(config.read_text())
    next(x for x in data["locales"] if x["name"] == "eu-west").update(section)
    mended = config.with_name("mended.yaml")
    mended.write_text(yaml.safe_dump(data))
    assert tuning.check_locale(load_deployment(mended), "eu-west")[1].var_order == 3
    for name in ("proposed.yaml", "tuning.json", "tuning.png", "trial-0000-repeat-0.json", "study.json"):
        assert stat.S_IMODE((tmp_path / "out" / name).stat().st_mode) == 0o600
    assert (tmp_path / "out" / "tuning.png").read_bytes().startswith(b"\x89PNG")
    # Seeds and held-back rows differ between repeats, and are the same for both sides.
    by_seed = {call[4]: call[:3] for call in made.calls}
    seed = load_deployment(config).seed
    assert sorted(by_seed) == [seed, seed + 1, seed + 2] and len(set(by_seed.values())) > 1


def test_no_trial_is_fitted_to_rows_of_the_holdout_or_to_those_it_is_judged_on(config, tmp_path):
    seen = []

    def train(fit, early, judged, trainer, seed, steps):
        keys = [set(zip(t["asset"].to_pylist(), t["timestamp"].to_pylist())) for t in (fit, early, judged)]
        seen.append(keys)
        return Outcome("done", dict.fromkeys(MEASURES, 0.5), 0.0, wall_s=1.0)

    deployment = load_deployment(config)
    options = tuning.Options(folder=tmp_path, trials=2, space=None)
    tuned = tuning.tune_locale(deployment, "eu-west", options, lambda *_: None, train=train, propose=Orders)
    fit, early, judged = seen[0]
    assert not fit & judged and not fit & early and not early & judged
    # Those that ExampleGen calls train are fitted or judged; those that it calls holdout are not touched.
    assert len(fit | judged) == tuned.rows.train.sum() and len(early) == tuned.rows.early.sum()
    assert len(fit | judged | early) < 0.85 * tuned.rows.table.num_rows


def test_killed_and_run_again_it_goes_on(isthmus, config, tmp_path, trainer):
    made = trainer(o3=0.9, killed_after=3)
    exit_status, _, err = isthmus("tune", config, "--locale", "eu-west", "-o", tmp_path / "out")
    assert exit_status == 130 and "the next run goes on" in err and len(made.calls) == 3
    again = trainer(o3=0.9)
    found = answer(isthmus, config, "--locale", "eu-west", "-o", tmp_path / "out")
    # Four trials and two times three repeats, less the three from before.
    assert len(again.calls) == 4 + 6 - 3 and found["result"]["kind"] == "gain"
    third = trainer(o3=0.9)
    assert answer(isthmus, config, "--locale", "eu-west", "-o", tmp_path / "out") == found
    assert third.calls == []
    fresh = trainer(o3=0.9)
    answer(isthmus, config, "--locale", "eu-west", "-o", tmp_path / "out", "--fresh")
    assert len(fresh.calls) == 10


def test_two_searches_at_once_the_second_says_who_is_at_work_there(isthmus, config, tmp_path, trainer):
    made = trainer()
    with hold_folder(tmp_path / "out", "a search"):
        exit_status, _, err = isthmus("tune", config, "--locale", "eu-west", "-o", tmp_path / "out")
    assert exit_status == 2 and f"-o {tmp_path / 'out'}: held by process {os.getpid()} since " in err
    assert made.calls == []


def test_another_search_in_the_same_folder_is_refused(isthmus, config, tmp_path, trainer):
    trainer()
    answer(isthmus, config, "--locale", "eu-west", "-o", tmp_path / "out")
    exit_status, _, err = isthmus(
        "tune", config, "--locale", "ap-south", "-o", tmp_path / "out", "--seed", "5"
    )
    assert exit_status == 2 and "another locale, rows, seed; allowed: --fresh" in err
    record = tmp_path / "out" / "trial-0001-repeat-0.json"
    record.write_text(record.read_text().replace('"var_order": 1', '"var_order": 4'))
    exit_status, _, err = isthmus("tune", config, "--locale", "eu-west", "-o", tmp_path / "out")
    assert exit_status == 2 and "other values than this search tries" in err
    record.write_text("{")
    exit_status, _, err = isthmus("tune", config, "--locale", "eu-west", "-o", tmp_path / "out")
    assert exit_status == 2 and "cannot be read as JSON" in err and len(err.splitlines()) < 20


def test_nothing_better_is_said_and_nothing_proposed(isthmus, config, tmp_path, trainer):
    trainer(o3=0.79)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "proposed.yaml").write_text("synthesizer: {}")
    exit_status, out, err = isthmus("tune", config, "--locale", "eu-west", "-o", tmp_path / "out")
    lines = out.splitlines()
    assert exit_status == 0 and "synthesizer:" not in out
    assert "result: nothing beat the configuration as it stands: no trial that may be chosen" in out
    assert any(line.startswith("trial 2: score ↑ 0.7900, marginal ↑ 0.7900") for line in lines)
    assert "eu-west: trial 2: var_order 3" in err
    assert not (tmp_path / "out" / "proposed.yaml").exists()


def test_a_trial_that_fails_is_in_the_table_and_nothing_leaves_the_locales_root(isthmus, config, trainer):
    trainer(o3=DataError("too few rows"), o4=ValueError("row 17 holds 3.14159"))
    outside = {path for path in config.parent.rglob("*") if path.is_file()}
    found = answer(isthmus, config, "--locale", "eu-west", "--trials", "4")
    assert [trial["hindrance"] for trial in found["trials"]] == [
        "",
        "",
        "failed: too few rows",
        "failed: ValueError",
    ]
    own = load_deployment(config).root
    made = {path for path in config.parent.rglob("*") if path.is_file()} - outside
    assert made and all(str(path).startswith(f"{own}/eu-west/tuning/") for path in made)


def test_a_table_on_a_terminal(isthmus, config, tmp_path, trainer):
    from rich.console import Console

    from pipeline import tune_view

    trainer(o3=0.9)
    found = answer(isthmus, config, "--locale", "eu-west", "-o", tmp_path / "out")
    console = Console(force_terminal=True, width=220, record=True, file=io.StringIO())
    tune_view.show(found, console)
    text = console.export_text()
    assert "marginal ↑" in text and "2 repeat 3" in text and "trial 2: score" not in text
    with tune_view.TuneView("eu-west", 5.0, console) as view:
        view.tell(3, 0, {"var_order": 3}, None, False)
        view.steps(10, 240, {})
        assert "trial 3: step 10/240" in str(view._progress.tasks[0].fields["doing"])


def test_bad_input_is_one_line_and_exit_status_2(isthmus, config, tmp_path, trainer):
    trainer(o2=DataError("locale=eu-west span=0: too few rows"))

    def changed(name, change):
        data = yaml.safe_load(config.read_text())
        change(data, {locale["name"]: locale for locale in data["locales"]})
        other = config.with_name(name)
        other.write_text(yaml.safe_dump(data))
        return other

    def private(data, locales):
        locales["eu-west"]["synthesizer"] = {
            "method": "dp_linear",
            "dp": {"period": {"start": "2024-01-01", "end": "2024-02-01"}, "kinds": ["leak"]},
        }
        locales["eu-west"]["privacy"] |= {"target_epsilon": 1.0, "target_delta": 1e-6}
        locales["eu-west"]["generation"] = {"sessions": 3, "label_amplification": 1.0}
        data["synthesizer"] = {}

    def private_gan(data, locales):
        private(data, locales)
        locales["eu-west"]["synthesizer"]["method"] = "dp_gan"

    def budget(data, locales):
        locales["eu-west"]["privacy"]["budget"] = {"epsilon": 3.0, "delta": 1e-5, "unit": "record"}

    def missing(data, locales):
        locales["eu-west"]["source"]["pattern"] = str(tmp_path / "nothing-{SPAN}.csv")

    space = tmp_path / "space.yaml"
    space.write_text("var_order: {choices: [1, 9]}\n")
    twice = tmp_path / "twice.yaml"
    twice.write_text("ridge: 1\nridge: 2\n")
    west = ("--locale", "eu-west", "-o", tmp_path / "bad")
    cases = [
        (config, ("--locale", "eu-wset"), "unknown locale 'eu-wset' (did you mean 'eu-west'?)"),
        (config, ("--locale", "us-east"), "us-east is open and has no synthesizer"),
        (config, (*west, "--span", "9"), "span 9 does not exist"),
        (config, (*west, "--minutes", "0"), "--minutes: found 0; allowed: greater than 0"),
        (config, (*west, "--minutes", "nan"), "--minutes: found nan"),
        (config, (*west, "--space", space), "var_order: found 9; Input should be less than or equal to 8"),
        (config, (*west, "--space", twice), "is not YAML: key 'ridge' is given twice"),
        (config, (*west, "--space", tmp_path / "none.yaml"), "cannot be read (No such file or directory)"),
        (config, ("--locale", "eu-west", "-o", config / "below"), "cannot be written"),
        (config, west, "locale=eu-west span=0: too few rows"),
        (changed("missing.yaml", missing), west, "no file matches"),
        (changed("private.yaml", private), west, "synthesizer.method: found 'dp_linear'; every trial would"),
        (changed("gan.yaml", private_gan), west, "synthesizer.method: found 'dp_gan'; every trial would"),
        (changed("budget.yaml", budget), west, "whose every release costs an infinite epsilon"),
    ]
    for file, arguments, words in cases:
        exit_status, out, err = isthmus("tune", file, *arguments)
        told = [line for line in err.splitlines() if line.startswith("isthmus: ")]
        assert exit_status == 2 and out == "" and len(told) == 1 and words in told[0], (words, err)


def test_too_few_rows_to_judge_on_are_refused(config, tmp_path):
    deployment = load_deployment(config)
    source = next((config.parent / "data" / "eu-west").rglob("*.csv")).read_text().splitlines()
    (tmp_path / "span-0").mkdir()
    (tmp_path / "span-0" / "rows.csv").write_text("\n".join(source[:500]) + "\n")
    data = yaml.safe_load(config.read_text())
    locale = next(x for x in data["locales"] if x["name"] == "eu-west")
    locale["source"]["pattern"] = str(tmp_path / "span-{SPAN}" / "*.csv")
    other = config.with_name("few.yaml")
    other.write_text(yaml.safe_dump(data))
    with pytest.raises(DataError, match="held back to judge on, isthmus tune needs 200 at least"):
        options = tuning.Options(folder=tmp_path / "o")
        tuning.tune_locale(load_deployment(other), "eu-west", options, lambda *_: None, train=Trainer())
    assert deployment.locale("eu-west").source.pattern != locale["source"]["pattern"]
