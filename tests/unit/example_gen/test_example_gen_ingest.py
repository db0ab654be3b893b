"""Reading, quarantine, order and writing: `ingest` on small files of every kind."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from components import split_io
from components.dataset import DatasetConfig, FeatureConfig
from components.errors import DataError
from components.example_gen.config import ExampleGenConfig
from components.example_gen.core import csv_blocks, keys, reading, store
from components.example_gen.core.ingest import IngestReport, ingest

DATASET = DatasetConfig(
    timestamp="time",
    series=("device",),
    label="label",
    label_kind="kind",
    features=(
        FeatureConfig(name="x"),
        FeatureConfig(name="n", kind="integer"),
        FeatureConfig(name="b", kind="binary"),
        FeatureConfig(name="c", kind="categorical"),
    ),
    targets=("x",),
    interval_s=60,
)
HEADER = "time,device,x,n,b,c,label,kind"
START_US = 1_704_067_200_000_000  # 2024-01-01


def line(minute: int, device: str = "d", x: object = 1.5) -> str:
    return f"2024-01-01T{minute // 60:02d}:{minute % 60:02d}:00,{device},{x},1,0,u,0,"


class Door:
    """A folder with sources, and `ingest` into it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, *rows: str, name: str = "a.csv", header: str = HEADER) -> Path:
        path = self.root / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text("\n".join([header, *rows]) + "\n")
        return path

    def config(self, source: dict[str, Any] | None = None, **changes: Any) -> ExampleGenConfig:
        sources = [{"pattern": f"{self.root}/*.csv", **(source or {})}]
        base: dict[str, Any] = {
            "dataset": DATASET,
            "sources": sources,
            "splits": {"mode": "single", "name": "test"},
        }
        return ExampleGenConfig(**{**base, **changes})

    def run(self, source: dict[str, Any] | None = None, **changes: Any) -> IngestReport:
        return ingest(self.config(source, **changes), self.root / "ex", self.root / "q", locale="eu", seed=1)

    def table(self, split: str = "test") -> pa.Table:
        return split_io.read_table(self.root / "ex", split, dataset=DATASET)

    def places(self) -> list[tuple[str, ...]]:
        with (self.root / "q" / "quarantine.csv").open() as file:
            return [tuple(row) for row in csv.reader(file)][1:]

    def rows(self) -> list[dict[str, str]]:
        with (self.root / "q" / "quarantine_rows.csv").open() as file:
            return list(csv.DictReader(file))


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def test_clean_csv(door: Door) -> None:
    door.write(line(1), line(0), f"{line(2, x='')}", "2024-01-01T00:03:00,d,nan,,,,,")
    report = door.run()
    table = door.table()
    assert table["timestamp"].to_pylist() == [START_US + 60_000_000 * minute for minute in range(4)]
    assert table["x"].to_pylist() == [1.5, 1.5, None, None]
    assert table.slice(3).to_pylist()[0] == {
        "timestamp": START_US + 180_000_000, "device": "d", "x": None, "n": None, "b": None, "c": None,
        "label": None, "kind": "",
    }  # fmt: skip
    assert (report.rows_read, report.rows_kept, report.rows_quarantined, report.series) == (4, 4, 0, 1)
    assert (report.first_timestamp, report.last_timestamp) == (
        "2024-01-01T00:00:00+00:00",
        "2024-01-01T00:03:00+00:00",
    )
    written = json.loads((door.root / "q" / "ingest.json").read_text())
    assert written["data_digest"] == report.data_digest
    assert written["splits"]["test"] == {
        "rows": 4, "labelled_rows": 0, "digest": split_io.split_digest(door.root / "ex", "test")
    }  # fmt: skip
    assert door.places() == [] and door.rows() == []


def test_each_bad_row_is_named_and_kept(door: Door) -> None:
    door.write(
        line(0),
        line(1, x="abc"),
        line(2, x="inf") .replace(",1,0,", ",1.5,2,"),
        "",
        ",d,1,1,0,u,0,",
        "nonsense,d,1,1,0,u,0,",
        line(3, device=""),
        line(0, x=9),
        "2024-01-01T00:09:00,d,1",
        line(4) + ",extra",
        line(5),
    )  # fmt: skip
    report = door.run(max_bad_fraction=0.9)
    found = {(int(row), column): reason for _, row, column, reason in door.places()}
    assert {name for name, *_ in door.places()} == {"a.csv"}
    assert found == {  # the header and the blank line are not counted
        (2, "x"): "not a number",
        (3, "x"): "infinite, or beyond float32",
        (3, "n"): "not a 64-bit integer",
        (3, "b"): "not 0 or 1",
        (4, "time"): "no timestamp",
        (5, "time"): "timestamp does not parse",
        (6, "device"): "no series",
        (7, "time"): "repeats a timestamp within its series",
        (8, ""): "wrong number of fields: 3, expected 8",
        (9, ""): "wrong number of fields: 9, expected 8",
    }
    rows = {int(row["row"]): row for row in door.rows()}
    assert sorted(rows) == [2, 3, 4, 5, 6, 7, 8, 9]
    assert rows[2]["x"] == "abc" and rows[3]["x"] == "inf" and rows[7]["x"] == "9"
    assert rows[8]["text"] == "2024-01-01T00:09:00,d,1"
    assert door.table()["timestamp"].to_pylist() == [START_US, START_US + 300_000_000]
    assert (report.rows_read, report.rows_kept, report.rows_quarantined) == (10, 2, 8)
    assert sum(report.quarantined_by_reason.values()) == 8


def test_row_numbers_go_on_from_block_to_block(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_blocks, "CSV_BLOCK_BYTES", 200)
    rows = [line(minute, x="bad" if minute in (0, 17, 58) else minute) for minute in range(60)]
    rows[5] = "too,few"
    door.write(*rows)
    door.run(max_bad_fraction=0.5)
    assert [int(row) for _, row, *_ in door.places()] == [1, 6, 18, 59]
    assert door.table()["x"].to_pylist() == [minute for minute in range(60) if minute not in (0, 5, 17, 58)]


def test_quotes_may_hold_delimiters_and_line_ends(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_blocks, "CSV_BLOCK_BYTES", 64)
    texts = ['a,"b', "two\nlines", "plain"] * 5
    rows = [line(i).replace(",u,", ',"' + text.replace('"', '""') + '",') for i, text in enumerate(texts)]
    door.write(*rows)
    door.run()
    assert door.table()["c"].to_pylist() == texts


def test_too_many_bad_rows_fail_with_counts_and_the_first_place(door: Door) -> None:
    door.write(*(line(minute, x="bad" if minute % 2 else 1) for minute in range(10)))
    with pytest.raises(DataError) as caught:
        door.run()
    assert str(caught.value) == (
        "locale=eu span=0: 5 of 10 rows (50.0%) are bad, allowed 1.0% (max_bad_fraction): 5 times not a "
        "number. First: file a.csv row 2 column 'x' (not a number). Mend the source, or raise "
        "max_bad_fraction."
    )
    assert not (door.root / "ex").exists() or split_io.list_splits(door.root / "ex") == []


def test_no_good_row_fails_even_if_all_may_be_bad(door: Door) -> None:
    door.write(line(0, device=""), line(1, device=""))
    with pytest.raises(DataError, match="2 of 2 rows"):
        door.run(max_bad_fraction=1)


ONE_ROW = f"{HEADER}\n{line(0)}\n"


@pytest.mark.parametrize(
    ("content", "source", "message"),
    [
        ("", {}, r"a\.csv: the file is empty"),
        ("\n\n", {}, r"a\.csv: the file is empty"),
        (HEADER, {}, "a header and no rows"),
        (HEADER + "\n\n", {}, "a header and no rows"),
        (ONE_ROW, {"delimiter": ";"}, "The delimiter seems to be a comma: set delimiter: ','"),
        (ONE_ROW.replace(",", "\t"), {}, r"one column, the data set needs 8.*a tab"),
        (ONE_ROW.replace("time", "stamp"), {}, "no timestamp column 'time'"),
        (ONE_ROW.replace("device", "devise"), {}, r"no series column 'device' \(did you mean 'd"),
        (ONE_ROW.replace("label", "Label"), {}, r"no label column 'label' \(did you mean 'L"),
        (ONE_ROW.replace(",x,n,", ",p,q,"), {}, r"no column 'x' \(and 1 more\)"),
        (f"{HEADER},x\n{line(0)},1\n", {}, "column 'x' appears 2 times"),
        (f"{HEADER}\n{line(0, x='a')}\n{line(1, x='b')}\n", {}, r"column 'x' is text throughout \(2 rows\)"),
        (f'{HEADER}\n{line(0)}\n"{line(1)}\n{line(2)}\n', {}, "a quote opens and never closes"),
        ("\xff\xfe,\x00", {}, "header is not UTF-8"),
        (ONE_ROW, {"format": "parquet"}, "not a Parquet file"),
        (ONE_ROW, {"format": "tfrecord"}, "corrupt TFRecord"),
    ],
)  # fmt: skip
def test_refused_outright(door: Door, content: str, source: dict[str, Any], message: str) -> None:
    (door.root / "a.csv").write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match=message):
        door.run(source)


def test_missing_file(door: Door) -> None:
    with pytest.raises(DataError, match="no file matches"):
        door.run()
    filesystem = fsspec.filesystem("file")
    gone = reading.SourceFile(str(door.root / "gone.csv"), "gone.csv")
    with pytest.raises(DataError, match=r"gone\.csv: does not exist"):
        list(reading.read_blocks(door.config().sources[0], gone, filesystem, door.config()))
    folder = reading.SourceFile(str(door.root), "folder.csv")
    with pytest.raises(DataError, match=r"folder\.csv: cannot be read"):
        list(reading.read_blocks(door.config().sources[0], folder, filesystem, door.config()))


def test_a_block_without_an_end_of_row_is_refused(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_blocks, "CSV_BLOCK_BYTES", 64)
    monkeypatch.setattr(csv_blocks, "_MAX_ROW_BYTES", 512)
    door.write(line(0), '"' + "x" * 2_000)
    with pytest.raises(DataError, match="no end of row in"):
        door.run()


def test_not_utf8_cells_are_bad_cells(door: Door) -> None:
    (door.root / "a.csv").write_bytes(f"{HEADER}\n{line(0)}\n{line(1)}\n".encode().replace(b"u", b"\xff", 1))
    door.run(max_bad_fraction=0.5)
    assert door.places() == [("a.csv", "1", "c", "not UTF-8")]


def test_rename_may_lack_bom_and_windows_line_ends(door: Door) -> None:
    text = (
        f"{HEADER}\n{line(0)}\n{line(1)}\n".replace("time", "Zeit")
        .replace(",kind", "")
        .replace(",0,\n", ",0\n")
    )
    (door.root / "a.csv").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    report = door.run({"rename": {"Zeit": "time"}, "may_lack": ["kind", "b"]})
    assert report.columns_absent == ["kind"]
    assert door.table()["kind"].to_pylist() == ["", ""]


def test_the_policy_covers_splits_and_quarantine(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISTHMUS_TEST_PII", "s3cret")
    header = HEADER + ",owner"
    door.write(
        *(f"{line(minute, device='pump-7')},Ann" for minute in range(30)),
        f"{line(30, device='pump-7', x='abc')},Ann",
        f"{line(29, device='pump-7', x='8')},Ann",
        "2024-01-01T00:40:00,pump-7,Ann",
        header=header,
    )
    rules = [
        {"column": "device", "action": "pseudonymise", "key": {"env": "ISTHMUS_TEST_PII"}},
        {"column": "c", "action": "generalise", "mapping": {"u": "one"}},
        {"column": "n", "action": "generalise", "width": 10},
        {"column": "owner", "action": "drop"},
    ]
    report = door.run(pii=rules, max_bad_fraction=0.5)
    assert set(door.table()["c"].to_pylist()) == {"one"} and set(door.table()["n"].to_pylist()) == {0}
    assert report.columns_dropped == ["owner"] and report.pii["owner"] == "drop"
    assert report.rows_quarantined == 3
    pseudonym = door.table()["device"][0].as_py()
    assert {row["device"] for row in door.rows()} == {pseudonym, ""}
    assert any(row["text"].startswith("withheld") for row in door.rows())
    stored = b"".join(
        part for name in ("test",) for part in split_io.read_records(door.root / "ex", name).__next__()
    )
    stored += b"".join(path.read_bytes() for path in (door.root / "q").iterdir())
    for secret in (b"pump-7", b"Ann", b"s3cret"):
        assert secret not in stored


def test_a_restricted_locale_keeps_no_text_of_a_row_that_does_not_split(door: Door) -> None:
    torn = "2024-01-01T00:40:00,d,1,1,0,u,0,,called +41 44 668 18 00 for Ann"
    door.write(*(line(minute) for minute in range(30)), torn)
    door.run(max_bad_fraction=0.5)
    assert door.rows()[0]["text"] == torn
    report = door.run(max_bad_fraction=0.5, refuse_identifiers=True)
    assert report.quarantined_by_reason == {"wrong number of fields": 1}
    assert door.places() == [("a.csv", "31", "", "wrong number of fields: 9, expected 8")]
    assert door.rows()[0]["text"].startswith("withheld")
    for path in (door.root / "q").iterdir():
        assert b"Ann" not in path.read_bytes() and b"668" not in path.read_bytes(), path.name


def test_parquet_is_the_same_as_csv(door: Door) -> None:
    door.write(*(line(minute, x=minute) for minute in range(5)))
    from_csv = door.run()
    table = (
        door.table().rename_columns(["time", *door.table().column_names[1:]]).append_column("more", [[0] * 5])
    )
    stamps = table["time"].cast(pa.timestamp("us"))
    pa.parquet.write_table(table.set_column(0, "time", stamps), door.root / "a.parquet")
    from_parquet = door.run({"pattern": f"{door.root}/*.parquet"})
    assert from_parquet.data_digest == from_csv.data_digest
    assert from_parquet.columns_dropped == ["more"]
    bad = table.set_column(2, "x", pa.array([1, np.inf, 2, 3, 4], pa.float64()))
    pa.parquet.write_table(bad, door.root / "b.parquet")
    door.run({"pattern": f"{door.root}/b.parquet"}, max_bad_fraction=0.5)
    assert door.places() == [("b.parquet", "2", "x", "infinite, or beyond float32")]
    pa.parquet.write_table(table.slice(0, 0), door.root / "c.parquet")
    with pytest.raises(DataError, match="has no rows"):
        door.run({"pattern": f"{door.root}/c.parquet"})


def test_tfrecord_is_the_same_as_csv_from_anywhere(door: Door) -> None:
    door.write(*(line(minute, x=minute) for minute in range(5)))
    from_csv = door.run()
    table = door.table().rename_columns(["time", *door.table().column_names[1:]])
    split_io.write_split(door.root / "again", "train", table)
    pattern = f"{door.root}/again/Split-train/*"
    assert door.run({"pattern": pattern}).data_digest == from_csv.data_digest
    memory = fsspec.filesystem("memory")
    memory.pipe(
        "/tfrecord-test/x.tfrecord", split_io.shard_paths(door.root / "again", "train")[0].read_bytes()
    )
    assert door.run({"pattern": "memory://tfrecord-test/*.tfrecord"}).data_digest == from_csv.data_digest
    split_io.write_split(door.root / "none", "train", table.slice(0, 0))
    with pytest.raises(DataError, match="the file is empty"):
        door.run({"pattern": f"{door.root}/none/Split-train/*"})


def test_order_of_input_does_not_matter(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [line(minute, device=device, x=minute) for device in "ab" for minute in range(300)]
    door.write(*rows)
    first = door.run(splits={"block_s": 1_200})
    shuffled = [rows[index] for index in np.random.default_rng(0).permutation(len(rows))]
    door.write(*shuffled[:300], name="a.csv")
    door.write(*shuffled[300:], name="b.csv")
    monkeypatch.setattr(store, "STORED_ROWS", 100)
    monkeypatch.setattr(csv_blocks, "CSV_BLOCK_BYTES", 3_000)
    monkeypatch.setattr(keys, "PIECE_ROWS", 70)
    second = door.run(splits={"block_s": 1_200})
    assert second.data_digest == first.data_digest
    assert {name: split["rows"] for name, split in first.splits.items()} == {
        "train": 420, "eval": 60, "holdout": 120
    }  # fmt: skip
    together = pa.concat_tables([door.table(name) for name in first.split_names])
    assert sorted(zip(together["device"].to_pylist(), together["x"].to_pylist())) == [
        (device, minute) for device in "ab" for minute in range(300)
    ]


def test_rows_beyond_the_memory_budget_go_through_a_file(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    door.write(*(line(minute % 1_440, device=f"d{minute // 1_440}", x=minute) for minute in range(3_000)))
    before = door.run()
    monkeypatch.setattr(store, "STORED_ROWS", 500)
    monkeypatch.setattr(keys, "PIECE_ROWS", 1_000)
    monkeypatch.setattr(csv_blocks, "CSV_BLOCK_BYTES", 10_000)
    spilled = []
    finish = store.RowStore.finish

    def watch(self: store.RowStore) -> int:
        self._budget = 0
        self._bytes = 1
        rows = finish(self)
        spilled.append(self.spilled)
        return rows

    monkeypatch.setattr(store.RowStore, "finish", watch)
    assert door.run().data_digest == before.data_digest
    assert spilled == [True]
    assert [path.name for path in (door.root / "ex").iterdir()] == ["Split-test"]  # the file is gone


def test_repeated_rows_over_files_name_the_later_file(door: Door) -> None:
    door.write(line(0), line(1), name="a.csv")
    door.write(line(1, x=7), line(2), name="b.csv")
    door.run(max_bad_fraction=0.5)
    assert door.places() == [("b.csv", "1", "time", "repeats a timestamp within its series")]
    assert door.table()["x"].to_pylist() == [1.5, 1.5, 1.5]


def test_one_split_per_source_and_a_locale_column(door: Door) -> None:
    door.write(line(0), name="eu.csv")
    door.write(line(0), name="us.csv")  # the same time and device: another source, no repetition
    sources = [{"name": name, "pattern": f"{door.root}/{name}.csv"} for name in ("eu", "us")]
    report = door.run(sources=sources, splits={"mode": "per_source"})
    assert report.split_names == ["eu", "us"] == split_io.list_splits(door.root / "ex")
    assert [split["rows"] for split in report.splits.values()] == [1, 1]
    door.write(f"{line(0)},us", f"{line(0)},eu", f"{line(1)},", header=HEADER + ",place", name="t.csv")
    with_place = {"pattern": f"{door.root}/t.csv", "locale_column": "place"}
    door.run(with_place, max_bad_fraction=0.5)
    table = split_io.read_table(door.root / "ex", "test", dataset=DATASET, columns=["place", "x"])
    assert table["place"].to_pylist() == ["eu", "us"]
    assert door.places() == [("t.csv", "3", "place", "no series")]


def test_spans_and_a_fingerprint_that_no_longer_fits(door: Door) -> None:
    for span in (1, 2):
        door.write(line(span), name=f"s{span}.csv")
    config = door.config({"pattern": f"{door.root}/s{{SPAN}}.csv"})
    first = ingest(config, door.root / "ex", door.root / "q", span=1)
    assert first.span == 1 and door.table()["timestamp"].to_pylist() == [START_US + 60_000_000]
    again = ingest(config, door.root / "ex", door.root / "q", span=1, fingerprint=first.fingerprint)
    assert again.data_digest == first.data_digest
    assert ingest(config, door.root / "ex", door.root / "q").span == 2
    door.write(line(5), name="s1.csv")
    with pytest.raises(DataError, match="span=1: the source's files have changed since the run was planned"):
        ingest(config, door.root / "ex", door.root / "q", span=1, fingerprint=first.fingerprint)


def test_gzipped_csv_and_no_series(door: Door) -> None:
    import gzip

    dataset = DatasetConfig(timestamp="t", features=(FeatureConfig(name="x"),), targets=("x",), interval_s=1)
    (door.root / "a.csv.gz").write_bytes(gzip.compress(b"t,x\n1700000000,1\n1700000001,2\n"))
    config = ExampleGenConfig(dataset=dataset, sources=[{"pattern": f"{door.root}/a.csv.gz"}])
    report = ingest(config, door.root / "ex", door.root / "q")
    assert report.split_names == ["train", "eval", "holdout"]
    assert report.timestamp_format == {"data": "s"}
    assert report.splits["eval"]["labelled_rows"] is None
    assert split_io.read_table(door.root / "ex", "eval", dataset=dataset).num_rows == 0
    assert split_io.read_table(door.root / "ex", "train", dataset=dataset)["x"].to_pylist() == [1, 2]


def test_far_stamps_are_shown_as_numbers(door: Door) -> None:
    dataset = DatasetConfig(timestamp="t", features=(FeatureConfig(name="x"),), targets=("x",), interval_s=1)
    door.write("400000000000000000,1", header="t,x")
    config = ExampleGenConfig(
        dataset=dataset, sources=[{"pattern": f"{door.root}/a.csv", "timestamp_format": "us"}]
    )
    assert ingest(config, door.root / "ex", door.root / "q").first_timestamp == "400000000000000000 us"


def test_taking_rows_in_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "STORED_ROWS", 10)
    schema = pa.schema([("x", pa.int64())])
    with store.RowStore(schema, tmp_path, 1) as rows:
        for start in range(0, 100, 5):
            rows.add(pa.RecordBatch.from_arrays([pa.array(range(start, start + 5))], schema=schema))
        assert rows.finish() == 100 and rows.spilled
        wanted = np.random.default_rng(0).permutation(100)
        assert rows.take(wanted)["x"].to_pylist() == wanted.tolist()
        assert rows.take(np.arange(25, 35))["x"].to_pylist() == list(range(25, 35))
        assert rows.take(np.array([3, 5]))["x"].to_pylist() == [3, 5]
        assert rows.take(np.zeros(0, dtype=np.int64)).num_rows == 0
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_interval_is_refused_before_anything_is_written(door: Door) -> None:
    door.write(*[line(5 * step, device) for device in "de" for step in range(20)])
    with pytest.raises(DataError, match=r"^locale=eu span=0: the rows come every 300 s .*expected 60 by"):
        door.run()
    assert not (door.root / "ex" / "Split-test").exists()
    # Steps of one, four and two minutes: samples are missing, the cadence is the configured one.
    door.write(*[line(minute) for minute in range(120) if minute % 7 in (0, 1, 5)])
    assert door.run().median_step_s == 120.0


def test_repeated_rows_are_the_same_whatever_fits_into_memory(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [line(minute, device=device) for minute in range(60) for device in "ba"]
    door.write(*rows, *rows[40:44], name="a.csv")
    door.write(*rows[:3], line(61), name="b.csv")
    first = door.run(max_bad_fraction=0.5)
    places = door.places()
    assert [(file, row) for file, row, *_ in places] == [
        *(("a.csv", str(row)) for row in range(121, 125)), *(("b.csv", str(row)) for row in (1, 2, 3))
    ]  # fmt: skip
    monkeypatch.setattr(keys, "PIECE_ROWS", 16)
    second = door.run(max_bad_fraction=0.5)
    assert (second.data_digest, door.places()) == (first.data_digest, places)
    assert second.rows_kept == 121
