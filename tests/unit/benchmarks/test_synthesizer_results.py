"""Results on disk: resumed, told to be stale, written whole; rows kept to be measured again."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import types
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

# The benchmarks are no installed package.
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks.synthesizer import data, digests, long_range, measuring, runners, session, store
from benchmarks.synthesizer.peers import PeerError
from components.dataset import TIMESTAMP, DatasetConfig, FeatureConfig

DATASET = DatasetConfig(
    timestamp="when", features=(FeatureConfig(name="volts"), FeatureConfig(name="amps")), targets=("volts",),
    interval_s=60,
)  # fmt: skip
COST = {"fit_cpu_s": 1.0, "rows_per_cpu_s": 2.0, "peak_mb": 3.0}


def _source(rows: int = 900, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    stamps = np.datetime64("2024-03-01T00:00:00") + np.arange(rows).astype("timedelta64[m]")
    volts = np.sin(np.arange(rows) / 40) + 0.1 * rng.normal(size=rows)
    return pa.table({"when": [f"{s}Z" for s in stamps], "volts": volts, "amps": rng.normal(size=rows)})


@pytest.fixture(scope="module")
def case() -> data.Case:
    return data.divide("pump one", _source(), DATASET)


@dataclasses.dataclass
class Stage:
    """A benchmark of two generators that count how often they are run."""

    case: data.Case
    results: store.Results
    rows: store.Rows
    runs: list[tuple[str, int]]
    said: list[str]

    def fill(self, seeds: int = 1, case: data.Case | None = None, **other: object) -> list[str]:
        self.runs.clear()
        self.said.clear()
        given = {"networks": False, "config": {}, "say": self.said.append} | other
        return session.fill(
            case or self.case, ("even", "ours"), range(seeds), self.results, self.rows, **given
        )


@pytest.fixture
def stage(case: data.Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    runs: list[tuple[str, int]] = []

    def runner(name: str):
        def made(case: data.Case, seed: int, config: object, folder: Path) -> runners.Made:
            runs.append((name, seed))
            result = {"cost": COST, "versions": {"numpy": "1"}, "settings": {"a": 1}}
            return runners.Made(data.divide("", _source(seed=seed + 1), DATASET).period, None, result)

        return made

    for name in ("even", "ours"):
        monkeypatch.setitem(runners.RUNNERS, name, runner(name))
    for name in ("measure", "real_rows"):  # what they measure is not looked at here
        monkeypatch.setattr(session, name, lambda *_: {"acf": 0.1})
    return Stage(case, store.Results(tmp_path / "results"), store.Rows(tmp_path / "rows"), runs, [])


def test_a_second_run_does_nothing_and_more_seeds_only_those(stage: Stage) -> None:
    assert stage.fill() == [] and stage.runs == [("even", 0), ("ours", 0)]
    assert [line.rsplit(":", 1)[0] for line in stage.said] == [
        f"pump one, {name}, seed 0 (missing)" for name in ("real", "even", "ours")
    ]
    stage.fill()
    assert stage.runs == [] and stage.said == []
    stage.fill(seeds=3)
    assert stage.runs == [("even", 1), ("ours", 1), ("even", 2), ("ours", 2)]
    assert [one.seed for one in stage.results.all()["pump one"]["ours"]] == [0, 1, 2]


def test_a_run_that_was_cut_short_goes_on(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> runners.Made:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setitem(runners.RUNNERS, "ours", killed)
        stage.fill()
    stage.fill()
    assert stage.runs == [("ours", 0)]
    stage.results.path("pump one", "even", 0).write_text('{"data": "pump')  # half a file, of another making
    stage.fill()
    assert stage.runs == [] and stage.said[0].startswith("pump one, even, seed 0 (missing)")  # rows were kept


def test_other_code_makes_anew_other_measures_only_measure(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.fill(seeds=2)
    code = runners.digest_of
    other = lambda name, config: "other" if name == "even" else code(name, config)  # noqa: E731
    monkeypatch.setattr(runners, "digest_of", other)
    stage.fill(seeds=2)
    assert stage.runs == [("even", 0), ("even", 1)]
    assert all("(stale: made)" in line for line in stage.said)
    monkeypatch.setattr(digests, "MEASURING", digests.MEASURING[:-1])
    stage.fill(seeds=2)
    assert stage.runs == [] and len(stage.said) == 6
    assert all("(stale: measured)" in line for line in stage.said)


def test_a_configuration_of_ours_is_another_generator(stage: Stage) -> None:
    stage.fill()
    stage.fill(config={"patience": 3})
    assert stage.runs == [("ours", 0)]


def test_other_rows_make_everything_anew(stage: Stage) -> None:
    stage.fill()
    stage.fill(case=data.divide("pump one", _source(seed=9), DATASET))
    assert stage.runs == [("even", 0), ("ours", 0)]
    assert all("(stale: data)" in line for line in stage.said) and len(stage.said) == 3


def test_a_quick_result_is_completed_without_making_rows_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.fill()
    # The real rows forecast with an error of 0.5, the others' with 0.75.
    learnt = iter([(0.5, 1.0), (0.75, 1.0), (0.75, 1.0)])
    networks = types.SimpleNamespace(
        Scale=lambda values: None,
        forecast_error=lambda *_: next(learnt),
        discriminative_auc=lambda *_: 0.9,
    )
    monkeypatch.setitem(sys.modules, "benchmarks.synthesizer.networks", networks)
    for name in ("measure", "real_rows"):
        monkeypatch.setattr(session, name, getattr(measuring, name))
    stage.fill(networks=True)
    assert stage.runs == [] and all("(without networks)" in line for line in stage.said)
    found = stage.results.read("pump one", "ours", 0)
    assert found is not None and (found.measures["auc"], found.measures["tstr_ratio"]) == (0.9, 1.5)
    stage.fill(networks=True)
    stage.fill()
    assert stage.said == []


def test_a_generator_that_fails_is_named_and_the_others_go_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> runners.Made:
        raise PeerError("no such forest")

    with monkeypatch.context() as patch:
        patch.setitem(runners.RUNNERS, "even", broken)
        assert stage.fill() == ["pump one: even, seed 0"]
    assert stage.runs == [("ours", 0)] and any("no such forest" in line for line in stage.said)
    assert stage.results.read("pump one", "even", 0) is None
    assert stage.fill() == [] and stage.runs == [("even", 0)]


def test_a_result_holds_numbers_and_what_it_stands_on(
    stage: Stage, case: data.Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "measure", measuring.measure)
    stage.fill()
    path = stage.results.path("pump one", "ours", 0)
    assert path.relative_to(stage.results.folder).as_posix() == "pump-one/ours/seed-0.json"
    read = json.loads(path.read_text())
    assert read["rows"] == {"train": case.train.num_rows, "period": case.period.num_rows}
    assert all(isinstance(value, float) for value in read["measures"].values())
    assert {"marginal", "acf", "excess", "excess_row", "copied", *COST} <= set(read["measures"])
    assert read["machine"].split(",")[0].endswith("cores")
    assert read["digests"]["data"] == digests.of_case(case)
    assert set(read["digests"]) == {"made", "data", "measured", "long_range"} and all(
        read["digests"].values()
    )
    assert "long_acf" in read["measures"]
    assert "long_acf" in stage.results.read("pump one", "real", 0).measures
    assert not list(path.parent.glob(".*")), "a temporary file was left"


def _as_before_the_long_range(stage: Stage, name: str, **measures: float) -> dict[str, object]:
    """Rewrites a result as the code before wrote it; its text."""
    path = stage.results.path("pump one", name, 0)
    told = json.loads(path.read_text())
    told["digests"].pop("long_range")
    told["measures"] = {
        key: v for key, v in told["measures"].items() if not key.startswith("long_")
    } | measures
    path.write_text(json.dumps(told))
    return told


@pytest.fixture
def older(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, object]]:
    """Results of the code before the long range, by generator; nothing may be measured again in full."""
    stage.fill()
    found = {name: _as_before_the_long_range(stage, name, tstr=0.3) for name in ("real", "even", "ours")}
    for name in ("measure", "real_rows"):
        monkeypatch.setattr(session, name, lambda *_: pytest.fail("measured in full"))
    return found


def test_a_result_without_the_long_range_gets_that_alone(
    stage: Stage, older: dict[str, dict[str, object]]
) -> None:
    stage.fill()
    assert stage.runs == []
    assert stage.said == [
        f"pump one, {name}, seed 0: long range measured" for name in ("real", "even", "ours")
    ]
    for name, before in older.items():
        after = json.loads(stage.results.path("pump one", name, 0).read_text())
        assert after["digests"].pop("long_range") and after["digests"] == before["digests"]
        found = after.pop("measures")
        assert long_range.without(found) == before["measures"] and "long_acf" in found
        assert {key: value for key, value in after.items() if key != "digests"} == {
            key: value for key, value in before.items() if key not in ("digests", "measures")
        }
    stage.fill()
    assert stage.said == []


@pytest.mark.parametrize("how", ["gone", "other code"])
def test_without_the_very_rows_the_long_range_stays_empty_and_nothing_runs(
    stage: Stage, older: dict[str, dict[str, object]], how: str
) -> None:
    kept = stage.rows.folder / "pump-one" / "even" / "seed-0" / "made.json"
    if how == "gone":
        kept.unlink()
    else:
        kept.write_text(json.dumps(json.loads(kept.read_text()) | {"made": "another"}))
    stage.fill()
    assert stage.runs == []
    assert "pump one, even, seed 0: long range not measured, the rows are not kept" in stage.said
    assert json.loads(stage.results.path("pump one", "even", 0).read_text()) == older["even"]
    assert stage.results.read("pump one", "ours", 0).digests.long_range


def test_another_measure_of_the_long_range_replaces_all_of_it(
    stage: Stage, older: dict[str, dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.fill()
    found = stage.results.read("pump one", "ours", 0)
    stage.results.write(dataclasses.replace(found, measures=found.measures | {"long_gone": 1.0}))
    stage.fill()
    assert stage.said == []
    monkeypatch.setattr(digests, "LONG_RANGE", digests.LONG_RANGE[:1])
    monkeypatch.setattr(long_range, "measure", lambda *_: {"long_acf": 0.5})
    stage.fill()
    assert stage.runs == [] and len(stage.said) == 3
    found = stage.results.read("pump one", "ours", 0).measures
    assert {key: v for key, v in found.items() if key.startswith("long_")} == {"long_acf": 0.5}
    assert found["tstr"] == 0.3


def test_numbers_of_another_long_range_do_not_outlive_their_rows(
    stage: Stage, older: dict[str, dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.fill()
    monkeypatch.setattr(digests, "LONG_RANGE", digests.LONG_RANGE[:1])
    (stage.rows.folder / "pump-one" / "even" / "seed-0" / "made.json").unlink()
    stage.fill()
    found = stage.results.read("pump one", "even", 0)
    assert found.measures == older["even"]["measures"] and found.digests.long_range == ""
    assert stage.runs == [] and stage.results.read("pump one", "ours", 0).digests.long_range


def test_results_of_other_code_are_completed_on_their_own_rows(
    stage: Stage, older: dict[str, dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runners, "digest_of", lambda name, config: "of today")
    session.complete(stage.case, ("even",), stage.results, stage.rows, stage.said.append)
    assert [line.split(",")[1].strip() for line in stage.said[-2:]] == ["even", "real"]
    found = stage.results.read("pump one", "even", 0)
    assert found.digests.made == older["even"]["digests"]["made"] and found.digests.long_range
    assert "long_acf" in found.measures and stage.runs == [("even", 0), ("ours", 0)]  # of the fixture
    assert stage.results.read("pump one", "ours", 0).digests.long_range == ""
    other = data.divide("pump one", _source(seed=9), DATASET)
    session.complete(other, ("even",), stage.results, stage.rows, stage.said.append)
    assert stage.said[-2:] == [
        f"pump one, {name}, seed 0: measured on other data" for name in ("even", "real")
    ]


def test_a_stale_result_is_made_anew_with_its_long_range(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.fill()
    _as_before_the_long_range(stage, "even")
    code = runners.digest_of
    monkeypatch.setattr(
        runners, "digest_of", lambda name, config: code(name, config) + "x" * (name == "even")
    )
    stage.fill()
    assert stage.runs == [("even", 0)] and len(stage.said) == 1 and "(stale: made)" in stage.said[0]
    assert "long_acf" in stage.results.read("pump one", "even", 0).measures


def test_what_is_undefined_is_left_out(stage: Stage) -> None:
    stage.fill()
    found = stage.results.read("pump one", "ours", 0)
    assert found is not None
    stage.results.write(dataclasses.replace(found, measures={"pair": math.nan, "acf": 0.123456789}))
    again = stage.results.read("pump one", "ours", 0)
    assert again is not None and again.measures == {"acf": 0.123457}


def test_comments_and_docstrings_make_nothing_stale(tmp_path: Path) -> None:
    file = tmp_path / "own" / "code.py"
    file.parent.mkdir()
    file.write_text('"""What it is."""\n\ndef one():\n    """One."""\n    return 1  # really\n')
    before = digests.of_code(["own"], root=tmp_path)
    file.write_text('"""Another."""\n\n\ndef one():\n    return 1\n')
    assert digests.of_code(["own"], root=tmp_path) == before
    assert digests.of_code(["own"], {"config": 1}, root=tmp_path) != before
    file.write_text("def one():\n    return 2\n")
    assert digests.of_code(["own"], root=tmp_path) != before
    file.write_text("def one():\n    return 1\n")
    file.rename(tmp_path / "own" / "other.py")
    assert digests.of_code(["own"], root=tmp_path) != before


def test_the_digest_of_a_data_set_is_of_its_values_times_and_division(case: data.Case) -> None:
    same = digests.of_case(data.divide("another name", _source(), DATASET))
    assert digests.of_case(case) == same
    assert digests.of_case(data.divide("", _source(), DATASET, seed=1)) != same
    moved = case.train.set_column(0, TIMESTAMP, pa.array(case.train[TIMESTAMP].to_numpy() + 1))
    assert digests.of_case(dataclasses.replace(case, train=moved)) != same
    assert digests.of_case(dataclasses.replace(case, labelled=case.test)) != same
