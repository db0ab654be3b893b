"""The benchmark's column of anomaly recall kept: which rows it compares, and how it is shown."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

# The benchmarks are no installed package.
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks.synthesizer import data, recall
from components.dataset import TIMESTAMP, DatasetConfig, FeatureConfig
from components.release_evaluator.core.anomaly_recall import RecallKept

DATASET = DatasetConfig(
    series=("asset",),
    label="label",
    label_kind="kind",
    features=(FeatureConfig(name="volts"), FeatureConfig(name="mode", kind="categorical")),
    targets=("volts",),
    interval_s=60,
)


def _source(seed: int, size: float = 5.0, rows: int = 3000) -> pa.Table:
    generator = np.random.default_rng(seed)
    label = (np.arange(rows) % 150 >= 140).astype(int)
    return pa.table(
        {
            "timestamp": [f"{np.datetime64('2024-03-01T00:00:00') + 60 * step}Z" for step in range(rows)],
            "asset": ["pump"] * rows,
            "volts": generator.normal(size=rows) + size * label,
            "mode": ["sun", "safe"] * (rows // 2),
            "label": label,
            "kind": np.where(label == 1, "ramp", ""),
        }
    )


@pytest.fixture(scope="module")
def case() -> data.Case:
    found = data.divide("pumps", _source(0), DATASET)
    return dataclasses.replace(found, labelled=data.flatten(_source(1), DATASET))


def test_the_release_is_judged_on_the_labelled_rows_beside_the_training_rows(case: data.Case) -> None:
    (good,) = recall.kept(case, data.flatten(_source(2), DATASET), 0)
    assert (good.kind, good.events) == ("ramp", 20) and good.kept is not None and good.kept > 0.85
    (bad,) = recall.kept(case, data.flatten(_source(2, size=-5.0), DATASET), 0)
    assert bad.real == good.real and bad.kept is not None and bad.kept < 0.3
    assert recall.kept(case, None, 0) == ()
    assert recall.kept(dataclasses.replace(case, labelled=None), case.train, 0) == ()


def test_channels_one_below_the_other_share_no_window(case: data.Case) -> None:
    one = data.flatten(_source(1), DATASET).slice(0, 145)
    both = recall.rows_with_kinds(pa.concat_tables([one, one]), case)
    alone = recall.rows_with_kinds(one, case)
    np.testing.assert_array_equal(both.features[145:], alone.features)
    # Each ends within an event.
    assert len(np.unique(both.event[both.kind != ""])) == 2


def test_a_held_out_hour_ends_a_window(case: data.Case) -> None:
    rows = recall.rows_with_kinds(case.train, case)
    gaps = np.flatnonzero(np.diff(case.train[TIMESTAMP].to_numpy()) > 90e6) + 1
    assert len(gaps) > 3 and np.isnan(rows.features[gaps, 2]).all()  # no step from before the gap


def test_the_table_shows_the_worst_kind_and_each_by_itself(case: data.Case) -> None:
    found = recall.numbers_of(
        (
            RecallKept("ramp", 24, 0.5, 0.48, 0.96, 0.9, 1.0),
            RecallKept("spike", 2, 0.8, 0.4, 0.5),
            RecallKept("stuck", 3, 0.01, 0.3, reason="by chance"),
        )
    )
    assert found["recall_kept"] == 0.5 and "stuck/kept" not in found and "spike/low" not in found
    shown = recall.render("pumps", {"real": [], "ours": [found]}).splitlines()
    assert shown[2:] == [
        "| ours | ramp | 24 | 0.500 | 0.480 | **0.960** | [0.90, 1.00] |",
        "| ours | spike | 2 | 0.800 | 0.400 | 0.500 |  |",
        "| ours | stuck | 3 | 0.010 | 0.300 | undefined |  |",
    ]
    assert recall.render("pumps", {"ours": [{"marginal": 1.0}]}) == ""
    assert "recall_kept" not in recall.numbers_of((RecallKept("ramp", 0, reason="none"),))


def _channels(tmp_path: Path, case: data.Case, **sources: pa.Table) -> pa.Table | None:
    tables = [table.append_column("location", pa.array([n] * len(table))) for n, table in sources.items()]
    pyarrow.csv.write_csv(pa.concat_tables(tables), tmp_path / "test.csv")
    return data._channels(tmp_path / "test.csv", case)


def test_test_channels_come_one_below_the_other(tmp_path: Path, case: data.Case) -> None:
    one, other = _source(3, rows=300), _source(4, rows=300)
    found = _channels(tmp_path, case, A=one, B=other)
    assert found is not None
    assert found["volts"].to_numpy() == pytest.approx(np.r_[one["volts"], other["volts"]])
    assert data._channels(tmp_path / "none.csv", case) is None


def test_a_channel_with_the_periods_own_events_is_no_held_out_one(
    tmp_path: Path, case: data.Case, capsys: pytest.CaptureFixture[str]
) -> None:
    other, twin = _source(3, rows=300), _source(0, rows=300)
    volts = 1.01 * twin["volts"].to_numpy() + 0.02  # a file that was scaled by itself
    twin = twin.set_column(2, "volts", pa.array(volts))
    found = _channels(tmp_path, case, A=twin, B=other)
    assert found is not None and found["volts"].to_numpy() == pytest.approx(other["volts"].to_numpy())
    assert capsys.readouterr().out == "left out A: its labelled events are those of pumps, row for row\n"
    assert _channels(tmp_path, case, A=twin) is None
