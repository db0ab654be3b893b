"""A locale's rows for a profile: which are looked at, which are trained on, what is kept meanwhile."""

from __future__ import annotations

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest

from components.errors import DataError
from components.example_gen.config import ExampleGenConfig, PiiRule, SourceConfig
from components.profiler import reading


@pytest.fixture
def source(made, dataset, tmp_path):
    own = made(days=10, series=3)

    def build(form="csv", rules=(), **columns):
        table = own.table(x=np.arange(len(own.series), dtype=float), **columns)
        path = tmp_path / f"rows.{form}"
        (pyarrow.csv.write_csv if form == "csv" else pyarrow.parquet.write_table)(table, path)
        kinds = dict.fromkeys(columns, "categorical")
        return ExampleGenConfig(
            dataset=dataset(x="continuous", **kinds),
            sources=(SourceConfig(pattern=str(path)),),
            pii=rules,
            refuse_identifiers=True,
        )

    return build


def read(config, folder, **changes):
    return reading.read_span(config, folder, locale="eu", span="latest", seed=0, **changes)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_every_format_gives_the_same_rows_in_order(source, tmp_path, form):
    found = read(source(form), tmp_path / "root")
    assert found.table.num_rows == found.rows_read == 3 * 1440
    assert found.table["x"].to_numpy().tolist() == list(range(3 * 1440))
    assert np.bincount(found.series).tolist() == [1440] * 3
    assert found.train.mean() == pytest.approx(0.7, abs=0.05)
    assert not (tmp_path / "root").exists()


def test_of_too_many_rows_the_latest_of_each_series(source, tmp_path):
    found = read(source(), tmp_path / "root", max_rows=300)
    assert found.table["x"].to_numpy().tolist() == [
        value for series in range(3) for value in range(1440 * series + 1340, 1440 * (series + 1))
    ]
    assert len(found.train) == 300 and found.rows_read == 3 * 1440


def test_pii_rules_hold_before_anything_is_looked_at(source, tmp_path):
    config = source(who=["someone@example.org"] * 4320, rules=(PiiRule(column="who", action="redact"),))
    assert set(read(config, tmp_path / "root").table["who"].to_pylist()) == {"REDACTED"}


def test_an_undeclared_identifier_is_read(source, tmp_path):
    config = source(who=["someone@example.org"] * 4320)
    assert read(config, tmp_path / "root").table["who"].to_pylist()[0] == "someone@example.org"


def test_malformed_rows_are_counted_and_no_text_of_them_is_kept(source, tmp_path, monkeypatch):
    config, kept = source(), []
    rows = (tmp_path / "rows.csv").read_text().splitlines()
    (tmp_path / "rows.csv").write_text("\n".join([*rows[:50], "secret,text,of,too,many,fields", *rows[50:]]))
    check = reading.Quarantine.check

    def look(self, *given):
        self._rows.flush()
        kept.extend(path.read_text() for path in (tmp_path / "root").rglob("quarantine_rows.csv"))
        check(self, *given)

    monkeypatch.setattr(reading.Quarantine, "check", look)
    found = read(config, tmp_path / "root")
    assert found.rows_bad == 1 and found.table.num_rows == 4320
    assert len(kept) == 1 and "withheld" in kept[0] and "secret" not in kept[0]


def test_too_many_bad_rows_are_refused_as_ever(source, tmp_path):
    config = source()
    text = (tmp_path / "rows.csv").read_text().replace(",0\n", ",zero\n").replace("1\n", "one\n")
    (tmp_path / "rows.csv").write_text(text)
    with pytest.raises(DataError, match=r"max_bad_fraction"):
        read(config, tmp_path / "root")
    assert not (tmp_path / "root").exists()
