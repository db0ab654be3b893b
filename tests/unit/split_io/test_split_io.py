"""components.split_io, tf_example and tfrecord: what is written is read back, by us and by others."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder, RecordBatchToExamplesEncoder

from components import flat_batches, split_io, tf_example, tf_example_decode, tfrecord
from components.dataset import DatasetConfig, FeatureConfig
from components.errors import DataError

DATASET = DatasetConfig(
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


def make_table(rows: int, missing: float = 0.2, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)

    def mask() -> np.ndarray:
        return rng.random(rows) < missing

    numbers = rng.integers(-(2**62), 2**62, rows) >> rng.integers(0, 62, rows)
    texts = ["é" * int(length) for length in rng.integers(1, 300, rows)]
    columns = {
        "timestamp": pa.array(1_600_000_000_000_000 + np.arange(rows)),
        "device": pa.array([f"device-{number % 3}" for number in range(rows)]),
        "x": pa.array(rng.standard_normal(rows).astype(np.float32), mask=mask()),
        "n": pa.array(numbers, mask=mask()),
        "b": pa.array(rng.integers(0, 2, rows), mask=mask()),
        "c": pa.array(texts, pa.string(), mask=mask()),
        "label": pa.array(rng.integers(0, 2, rows)),
        "kind": pa.array([""] * rows),
    }
    return pa.table(columns)


@pytest.mark.parametrize("missing", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("rows", [1, 2, 700])
def test_round_trip_keeps_every_value_and_type(tmp_path: Path, rows: int, missing: float) -> None:
    table = make_table(rows, missing)
    assert split_io.write_split(tmp_path, "train", table) == rows
    assert split_io.read_table(tmp_path, "train", dataset=DATASET).equals(table)


def test_bytes_are_protobufs_deterministic_form(tmp_path: Path) -> None:
    # Oracle: tfx_bsl encodes in an order that changes; protobuf itself sorts when asked to.
    example_pb2 = pytest.importorskip("tensorflow.core.example.example_pb2")
    batch = make_table(300).to_batches()[0]
    reference = RecordBatchToExamplesEncoder().encode(split_io.listify_batch(batch))
    sorted_form = [
        example_pb2.Example.FromString(row).SerializeToString(deterministic=True) for row in reference
    ]
    assert tf_example.encode_framed(batch) == tfrecord.frame_records(sorted_form)


def test_tfx_bsl_reads_what_is_written(tmp_path: Path) -> None:
    table = make_table(100)
    split_io.write_split(tmp_path, "train", table)
    (records,) = split_io.read_records(tmp_path, "train")
    batch = split_io.flatten_batch(ExamplesToRecordBatchDecoder().DecodeBatch(records), table.schema)
    assert pa.Table.from_batches([batch]).equals(table)


@pytest.mark.tfx
def test_tensorflow_reads_what_is_written_and_the_reverse(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    split_io.write_split(tmp_path, "train", make_table(50))
    paths = [str(path) for path in split_io.shard_paths(tmp_path, "train")]
    read = [item.numpy() for item in tf.data.TFRecordDataset(paths, compression_type="GZIP")]
    (ours,) = split_io.read_records(tmp_path, "train")
    assert read == ours
    for name, option in (("gzip.gz", "GZIP"), ("plain", "")):
        with tf.io.TFRecordWriter(str(tmp_path / name), option) as writer:
            for record in ours:
                writer.write(record)
        assert [record for part in tfrecord.read_file(tmp_path / name) for record in part] == ours


def test_framing_is_tensorflows() -> None:
    # What tf.io.TFRecordWriter (TensorFlow 2.16.2) wrote for this record.
    assert tfrecord.frame_records([b"isthmus"]).hex() == "0700000000000000bbd79f11697374686d75733e7eb852"


def test_rows_of_another_form_are_left_to_the_general_decoder() -> None:
    encoder = RecordBatchToExamplesEncoder()

    def encode(**columns: list) -> bytes:
        kinds = {"n": pa.list_(pa.int64()), "x": pa.list_(pa.float32())}
        arrays = [pa.array([values], kinds[name]) for name, values in columns.items()]
        return encoder.encode(pa.RecordBatch.from_arrays(arrays, list(columns)))[0]

    one = encode(n=[1])
    assert tf_example_decode.decode_uniform([one, one]) is not None
    for other in (
        encode(n=[1, 2]),
        encode(n=[300, 2]),
        encode(n=[]),
        encode(x=[1.0]),
        one + encode(x=[1.0]),
        one[:1] + bytes([one[1] + 1]) + one[2:],
    ):
        assert tf_example_decode.decode_uniform([one, other]) is None
    both = pa.RecordBatch.from_arrays([pa.array([1]), pa.array([1.0])], ["n", "x"])
    longer = tf_example.encode_framed(both)[12:-4]
    assert tf_example_decode.decode_uniform([one, longer]) is None
    assert split_io.decode_records([one, longer], "here")["x"].to_pylist() == [None, 1.0]
    with pytest.raises(DataError, match="column 'n': 1 rows hold several values"):
        split_io.decode_records([one, encode(n=[1, 2])], "here")


def test_features_in_another_order_are_read_by_the_general_decoder(tmp_path: Path) -> None:
    table = make_table(40)
    records = []
    for seed in range(40):  # each row through an encoder of its own: orders differ between rows
        row = table.slice(seed, 1).select(sorted(table.column_names, reverse=bool(seed % 2)))
        records += RecordBatchToExamplesEncoder().encode(split_io.listify_batch(row.to_batches()[0]))
    columns = split_io.decode_records(records, "here")
    assert columns["n"].to_pylist() == table["n"].to_pylist()


def test_same_table_same_bytes_whatever_the_batches(tmp_path: Path) -> None:
    table = make_table(5_000)
    split_io.write_split(tmp_path / "a", "train", table)
    split_io.write_split(tmp_path / "b", "train", table.to_batches(4_096))
    first, second = (split_io.shard_paths(tmp_path / name, "train")[0].read_bytes() for name in "ab")
    assert hashlib.sha256(first).digest() == hashlib.sha256(second).digest()


def test_digest_does_not_depend_on_shards_but_on_every_value(tmp_path: Path) -> None:
    table = make_table(1_000)
    split_io.write_split(tmp_path, "one", table)
    split_io.write_split(tmp_path, "many", table, rows_per_shard=300)
    assert len(split_io.shard_paths(tmp_path, "many")) == 4
    assert split_io.shard_paths(tmp_path, "many")[3].name == "data_tfrecord-00003-of-00004.gz"
    assert split_io.split_digest(tmp_path, "one") == split_io.split_digest(tmp_path, "many")
    with split_io.SplitWriter(tmp_path, "written") as writer:
        writer.write(table)
    assert writer.digest == split_io.split_digest(tmp_path, "one")
    changed = table.set_column(
        6, "label", pa.array([1 - table["label"][0].as_py(), *table["label"].to_pylist()[1:]])
    )
    split_io.write_split(tmp_path, "changed", changed)
    assert split_io.split_digest(tmp_path, "one") != split_io.split_digest(tmp_path, "changed")
    assert split_io.read_table(tmp_path, "many", dataset=DATASET).equals(table)


def test_columns_types_and_absent_columns(tmp_path: Path) -> None:
    stored = pa.table({"timestamp": [1, 2], "x": pa.array([1.0, np.nan]), "extra": ["a", None]})
    split_io.write_split(tmp_path, "train", stored)
    table = split_io.read_table(tmp_path, "train", dataset=DATASET)
    assert table.schema.names == ["timestamp", "device", "x", "n", "b", "c", "label", "kind"]
    assert table["x"].to_pylist() == [1.0, None]  # NaN is missing
    assert table["c"].type == pa.string() and table["c"].null_count == 2
    picked = split_io.read_table(tmp_path, "train", dataset=DATASET, columns=["extra", "x"])
    assert picked.to_pydict() == {"extra": ["a", None], "x": [1.0, None]}
    inferred = split_io.read_table(tmp_path, "train")
    assert inferred.schema == pa.schema(
        [("extra", pa.string()), ("timestamp", pa.int64()), ("x", pa.float32())]
    )
    with pytest.raises(DataError, match=r"no column 'extr' \(did you mean 'extra'\?\)"):
        split_io.read_table(tmp_path, "train", columns=["extr"])


def test_type_is_found_even_where_the_first_rows_are_missing(tmp_path: Path) -> None:
    values = pa.array([None] * 30_000 + [1.5])
    split_io.write_split(tmp_path, "train", pa.table({"x": values, "empty": pa.nulls(30_001)}))
    table = split_io.read_table(tmp_path, "train")
    assert table["x"].type == pa.float32() and table["x"][30_000].as_py() == 1.5
    assert table["empty"].type == pa.null()


def test_list_batches_are_what_tfdv_takes(tmp_path: Path) -> None:
    split_io.write_split(tmp_path, "train", make_table(50))
    (batch,) = split_io.read_list_batches(tmp_path, "train", dataset=DATASET)
    types = {str(field.type) for field in batch.schema}
    assert types == {"list<item: int64>", "list<item: float>", "list<item: binary>"}
    row = make_table(50).to_pylist()[7]
    assert batch.column(3)[7].as_py() == (None if row["n"] is None else [row["n"]])


def test_empty_split_and_split_names(tmp_path: Path) -> None:
    assert split_io.write_split(tmp_path, "eval", []) == 0
    assert split_io.read_table(tmp_path, "eval", dataset=DATASET).num_rows == 0
    split_io.write_split(tmp_path, "train", make_table(1))
    assert split_io.list_splits(tmp_path) == ["eval", "train"]
    with pytest.raises(
        DataError, match=r"no examples under .*\(did you mean 'train'\?\).*Splits there: eval, train"
    ):
        split_io.read_table(tmp_path, "trian")
    with pytest.raises(DataError, match=r"split name '\.\./x' is not allowed"):
        split_io.split_path(tmp_path, "../x")


def test_a_failed_write_leaves_the_old_split_and_nothing_else(tmp_path: Path) -> None:
    table = make_table(10)
    split_io.write_split(tmp_path, "train", table)

    def broken() -> object:
        yield table
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        split_io.write_split(tmp_path, "train", broken())
    assert [path.name for path in tmp_path.iterdir()] == ["Split-train"]
    assert split_io.read_table(tmp_path, "train", dataset=DATASET).equals(table)
    split_io.write_split(tmp_path, "train", table.slice(0, 3))
    assert split_io.read_table(tmp_path, "train", dataset=DATASET).num_rows == 3


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[: len(data) // 2], "truncated gzip"),
        (lambda data: b"", "file is empty"),
        (lambda data: data[:40] + bytes([data[40] ^ 0xFF]) + data[41:], "corrupt|truncated"),
        (lambda data: b"not a record at all, but long enough", "checksum of a length"),
        (lambda data: _gzip(_gunzip(data)[:-1]), "truncated TFRecord"),
        (lambda data: _gzip(_flip(_gunzip(data), 30)), "checksum of a record"),
        (lambda data: _gzip(_flip(_gunzip(data), 2)), "checksum of a length"),
    ],
)
def test_damaged_files_are_refused_by_name(tmp_path: Path, damage: object, message: str) -> None:
    split_io.write_split(tmp_path, "train", make_table(100))
    (path,) = split_io.shard_paths(tmp_path, "train")
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(DataError, match=message) as caught:
        split_io.read_table(tmp_path, "train", dataset=DATASET)
    assert path.name in str(caught.value)


def _gunzip(data: bytes) -> bytes:
    return zlib.decompress(data, 31)


def _gzip(data: bytes) -> bytes:
    compressor = zlib.compressobj(1, zlib.DEFLATED, 31)
    return compressor.compress(data) + compressor.flush()


def _flip(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def test_gzip_members_one_after_another_are_one_file(tmp_path: Path) -> None:
    framed = [tf_example.encode_framed(make_table(5, seed=seed).to_batches()[0]) for seed in (0, 1)]
    (tmp_path / "two.gz").write_bytes(_gzip(framed[0]) + _gzip(framed[1]))
    assert sum(len(part) for part in tfrecord.read_file(tmp_path / "two.gz")) == 10


def test_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        list(tfrecord.read_file(tmp_path / "none.gz"))


def test_what_tf_example_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"column 'x': type list<item: int64> cannot be stored"):
        split_io.write_split(tmp_path, "train", pa.table({"x": [[1, 2]]}))
    with pytest.raises(DataError, match="does not fit 64 bits"):
        split_io.write_split(tmp_path, "train", pa.table({"x": pa.array([2**63], pa.uint64())}))
    with pytest.raises(ValueError, match="rows_per_shard is 0"):
        split_io.SplitWriter(tmp_path, "train", rows_per_shard=0)


def test_other_arrow_types_become_the_three(tmp_path: Path) -> None:
    table = pa.table(
        {
            "b": pa.array([True, False]),
            "d": pa.array(["p", "q"]).dictionary_encode(),
            "f": pa.array([1.5, 2.5], pa.float64()),
            "s": pa.array(["p", None], pa.large_string()),
            "u": pa.array([1, 2], pa.uint8()),
        }
    )
    split_io.write_split(tmp_path, "train", table)
    assert split_io.read_table(tmp_path, "train").to_pydict() == {
        "b": [1, 0], "d": ["p", "q"], "f": [1.5, 2.5], "s": ["p", None], "u": [1, 2]
    }  # fmt: skip


def test_wrong_types_and_several_values_are_refused(tmp_path: Path) -> None:
    split_io.write_split(tmp_path, "train", pa.table({"x": ["text"], "n": [1.5], "c": [3]}))
    for name, found in (("x", "binary"), ("n", "float"), ("c", "int64")):
        with pytest.raises(DataError, match=f"column '{name}': stored as {found}"):
            split_io.read_table(tmp_path, "train", dataset=DATASET, columns=[name])
    several = pa.RecordBatch.from_arrays([pa.array([[1.0, 2.0], [3.0]])], ["x"])
    with pytest.raises(DataError, match="column 'x': 1 rows hold several values"):
        split_io.flatten_batch(several)
    (tmp_path / "Split-bad").mkdir()
    for records, message in (
        ([b"no example"], "no tf.Example"),
        (_mixed_types(), "in some rows, string in others"),
    ):
        (tmp_path / "Split-bad" / "data_tfrecord-00000-of-00001.gz").write_bytes(
            _gzip(tfrecord.frame_records(records))
        )
        with pytest.raises(DataError, match=message):
            split_io.read_table(tmp_path, "bad")


def _mixed_types() -> list[bytes]:
    encoder = RecordBatchToExamplesEncoder()
    numbers, texts = pa.array([[1.0]] * 20_000), pa.array([[b"t"]])
    batches = [pa.RecordBatch.from_arrays([numbers.cast(pa.list_(pa.float32()))], ["x"])]
    batches.append(pa.RecordBatch.from_arrays([texts], ["x"]))
    return [record for batch in batches for record in encoder.encode(batch)]


def test_not_utf8_is_a_data_error(tmp_path: Path) -> None:
    split_io.write_split(tmp_path, "train", pa.table({"c": pa.array([b"\xff\xfe"])}))
    with pytest.raises(DataError, match="column 'c': stored as binary, expected string"):
        split_io.read_table(tmp_path, "train", dataset=DATASET, columns=["c"])


def test_tensorflow_and_beam_are_not_imported() -> None:
    code = (
        "import sys, components.split_io; assert not {'tensorflow', 'apache_beam', 'tfx'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


_values = st.one_of(
    st.lists(st.one_of(st.none(), st.floats(width=32, allow_nan=False)), min_size=1, max_size=30).map(
        lambda items: pa.array(items, pa.float32())
    ),
    st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=30).map(
        lambda items: pa.array(items, pa.int64())
    ),
    st.lists(st.one_of(st.none(), st.text(max_size=200)), min_size=1, max_size=30).map(
        lambda items: pa.array(items, pa.string())
    ),
)


# tfx_bsl's decoder ends a name at a NUL; ours does not.
_names = st.text(
    st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), min_size=1, max_size=150
)


@settings(max_examples=60, deadline=None)
@given(column=_values, name=_names)
def test_any_column_survives_and_tfx_bsl_agrees(column: pa.Array, name: str) -> None:
    batch = pa.RecordBatch.from_arrays([column], [name])
    framed = tf_example.encode_framed(batch)
    records, position = [], 0
    while position < len(framed):
        length = int.from_bytes(framed[position : position + 8], "little")
        records.append(framed[position + 12 : position + 12 + length])
        position += length + 16
    uniform = tf_example_decode.decode_uniform(records)
    assert uniform is not None
    general = split_io.flatten_batch(ExamplesToRecordBatchDecoder().DecodeBatch(records), batch.schema)
    assert general.column(0).equals(column)
    assert uniform[name].cast(column.type).equals(column)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_examples_never_decode_to_something_else(data: st.DataObject) -> None:
    table = make_table(3, missing=0.3, seed=data.draw(st.integers(0, 5)))
    framed = tf_example.encode_framed(table.to_batches()[0])
    length = int.from_bytes(framed[:8], "little")
    record = bytearray(framed[12 : 12 + length])
    record[data.draw(st.integers(0, length - 1))] ^= 1 << data.draw(st.integers(0, 7))
    damaged = bytes(record)
    uniform = tf_example_decode.decode_uniform([damaged])
    if uniform is not None:  # then it is a valid example, and both decoders must say the same
        general = ExamplesToRecordBatchDecoder().DecodeBatch([damaged])
        for name, values in uniform.items():
            column = general.column(general.schema.get_field_index(name))
            assert flat_batches.flatten_column(name, column).to_pylist() == pytest.approx(
                values.to_pylist(), nan_ok=True
            )


@pytest.mark.parametrize("closing", [False, True])
def test_a_full_disk_while_writing_leaves_nothing(tmp_path, monkeypatch, closing):
    class Full:
        """A file on a full disk."""

        def __init__(self, file):
            self.file = file

        def write(self, data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def close(self):
            self.file.close()

    real = Path.open
    monkeypatch.setattr(Path, "open", lambda path, mode="r": Full(real(path, mode)))
    batch = pa.RecordBatch.from_pydict({"x": np.random.default_rng(0).normal(size=4_096)})
    with (
        pytest.raises(OSError, match="No space left"),
        split_io.SplitWriter(tmp_path, "train") as writer,
    ):
        # What a piece meets is raised by a later one, or at the end.
        for _ in range(1 if closing else 100):
            writer.write(batch)
        assert closing
    assert list(tmp_path.iterdir()) == []
