"""What a peer gets of a data set, how its rows are laid out, and the protocol, with a made-up peer."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

# The benchmarks are no installed package.
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks.synthesizer import data, peers, runners
from components.dataset import TIMESTAMP
from tests.unit.benchmarks.pumps import DATASET, source

ROOT = Path(__file__).resolve().parents[3]
#: Draws rows with replacement; says what it was told.
FAKE = """
import sys
sys.path.insert(0, {peers!r})
import protocol

def fit(plan, train):
    assert list(plan["kinds"]) == ["volts", "on", "mode", "label", "kind"], plan
    frame = protocol.categorical_as_text(train, plan["kinds"])
    return lambda rows: frame.sample(rows, replace=True, random_state=plan["seed"])

protocol.serve(fit, ("pandas",), {{"told": "defaults"}})
"""


@pytest.fixture(scope="module")
def case() -> data.Case:
    return data.divide("pumps", source(2400), DATASET)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A peer's script, known as "fake"; its environment is this one."""
    script = tmp_path / "fake_peer.py"
    script.write_text(FAKE.format(peers=str(ROOT / "benchmarks" / "peers")))
    monkeypatch.setitem(peers.PEERS, "fake", peers.Peer(str(script), "none"))
    monkeypatch.setattr(peers, "environment_python", lambda name: Path(sys.executable))
    return script


def test_a_peer_of_rows_gets_features_and_labels_and_the_sources_rounding(case: data.Case) -> None:
    learned = peers.learned(case, 0)
    assert learned.column_names == ["volts", "on", "mode", "label", "kind"]
    assert peers.column_kinds(DATASET) == {
        "volts": "numerical", "on": "categorical", "mode": "categorical", "label": "categorical",
        "kind": "categorical",
    }  # fmt: skip
    values = learned["volts"].to_numpy()
    assert (values == np.round(values, 2)).all()  # two decimals in the source, float32 in between


def test_windows_are_neighbouring_rows_of_one_series(case: data.Case) -> None:
    learned = peers.learned(case, 20)
    step, sequence = learned["step"].to_numpy(), learned["sequence"].to_numpy()
    assert (step.reshape(-1, peers.LENGTH) == np.arange(peers.LENGTH)).all()
    assert (np.diff(sequence.reshape(-1, peers.LENGTH)[:, 0]) == 1).all()
    # What follows a row in its window followed it in the source: the sine goes on, and every row is 1/9 on.
    volts = learned["volts"].to_numpy().reshape(-1, peers.LENGTH)
    assert np.abs(np.diff(volts)).max() < 0.13
    beginnings = volts[1:, 0] == volts[:-1, 20]
    assert 0.5 < beginnings.mean() < 1.0  # 20 rows on, but where a span ends


def test_independent_rows_keep_their_order_and_anomalous_ones_come_last(case: data.Case) -> None:
    rows = case.period.num_rows
    made = pa.table(
        {
            "volts": np.arange(rows + 5, dtype=float),
            "on": np.tile([0.2, 0.9], rows)[: rows + 5],
            "mode": np.tile(["sun", "_RARE_", ""], rows)[: rows + 5],
            "label": ["1" if row == 3 else "0" for row in range(rows + 5)],
            "kind": ["ramp" if row == 3 else "" for row in range(rows + 5)],
        }
    )
    laid = peers.lay_out(made, case, sequences=False)
    assert laid.schema == case.period.schema and laid[TIMESTAMP].equals(case.period[TIMESTAMP])
    assert laid["volts"].to_pylist()[:4] == [0.0, 1.0, 2.0, 4.0] and laid["volts"][-1].as_py() == 3.0
    assert laid["label"].to_pylist()[-2:] == [0, 1] and laid["kind"].to_pylist()[-2:] == ["", "ramp"]
    assert laid["on"].to_pylist()[:3] == [0, 1, 0]  # rounded
    assert laid["mode"].to_pylist()[:3] == ["sun", None, None]  # what is no value of the column is null
    in_order = peers.lay_out(made, case, sequences=True)
    assert in_order["volts"].to_pylist() == list(map(float, range(rows)))


def test_a_peer_is_run_in_its_process_and_says_what_it_cost(case: data.Case, fake: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(runners.RUNNERS, "fake", runners._peer("fake"))
        made = runners.run("fake", case, 3, {})
    assert made.sampled.num_rows == case.period.num_rows and made.release is made.sampled
    assert set(made.result["cost"]) == {"fit_cpu_s", "rows_per_cpu_s", "imports_mb", "peak_mb"}
    assert made.result["cost"]["peak_mb"] >= made.result["cost"]["imports_mb"] > 1
    assert set(made.result["versions"]) == {"python", "pandas"}
    assert made.result["settings"] == {"told": "defaults"}
    assert set(made.sampled["mode"].to_pylist()) == {"sun", "dark", None}


def test_a_peer_that_fails_ends_with_its_last_words(case: data.Case, fake: Path, tmp_path: Path) -> None:
    fake.write_text("raise ValueError('no such forest')")
    with pytest.raises(peers.PeerError, match="no such forest"):
        peers.run_peer("fake", case, 0, tmp_path)


def test_too_few_rows_are_refused(case: data.Case, fake: Path, tmp_path: Path) -> None:
    fake.write_text(fake.read_text().replace("frame.sample(rows,", "frame.sample(rows // 2,"))
    with pytest.raises(peers.PeerError, match="rows of"):
        peers.run_peer("fake", case, 0, tmp_path)


def test_the_baseline_fills_the_normal_rows_of_the_period(case: data.Case) -> None:
    made = runners.run(runners.BASELINE, case, 0, {})
    normal = case.period.filter(pa.array(case.period["label"].to_numpy() == 0))
    assert made.sampled.schema == normal.schema and made.sampled[TIMESTAMP].equals(normal[TIMESTAMP])
    assert set(made.sampled["mode"].to_pylist()) <= {"sun", "dark"} and made.release is None
    rows, real = (data.rows_of(table, case) for table in (made.sampled, case.period))
    np.testing.assert_array_equal(rows.segment, real.segment)
    assert made.result["cost"]["fit_cpu_s"] >= 0


def test_a_generator_is_another_where_its_script_list_or_stride_is(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: runners.digest_of(name, {}) for name in runners.RUNNERS}
    assert len({before["TVAE"], before["PAR"], before["ARF"], before["ours"], before["copula + VAR(2)"]}) == 5
    other = dataclasses.replace(peers.PEERS["DoppelGANger"], stride=7)
    monkeypatch.setitem(peers.PEERS, "DoppelGANger", other)
    assert runners.digest_of("DoppelGANger", {}) != before["DoppelGANger"]
    assert runners.digest_of("ours", {"patience": 9}) != before["ours"] == runners.digest_of("ours", {})
    assert runners.digest_of("ARF", {"patience": 9}) == before["ARF"]  # the configuration is of ours
