"""The audit finds a mark in whatever form it left, and nothing where there is none."""

from __future__ import annotations

import base64
import gzip
import sqlite3
import struct
import urllib.parse
import zipfile

import pyarrow as pa
import pyarrow.parquet
import pytest

from components.egress.canary import contents, needles, number_forms, search, text_forms

NAME = "Zyxwold & Söhne"
NUMBER = 93.718281
WANTED = needles({"name": NAME}, {"number": NUMBER})


def found(tmp_path, data: bytes, file: str = "file") -> set[str]:
    path = tmp_path / file
    path.write_bytes(data)
    return {leak.mark for leak in search([path], WANTED, tmp_path)}


ENCODED = {
    "plain": f"x{NAME}y".encode(),
    "upper case (of ASCII)": NAME.encode().upper(),
    "utf-16": NAME.encode("utf-16-le"),
    "json": b'"Zyxwold & S\\u00f6hne"',
    "url": urllib.parse.quote(NAME).encode(),
    "html": "Zyxwold &amp; Söhne".encode(),
    "hex": NAME.encode().hex().upper().encode(),
    "base64": base64.b64encode(NAME.encode()),
    "base64, one byte on": base64.b64encode(b"a" + NAME.encode() + b"bc"),
    "base64, two bytes on": base64.b64encode(b"ab" + NAME.encode() + b"c"),
    "gzip": gzip.compress(NAME.encode()),
    "gzip in gzip": gzip.compress(gzip.compress(NAME.encode())),
    "truncated gzip": gzip.compress(NAME.encode() * 1000)[:-12],
}


@pytest.mark.parametrize("form", ENCODED)
def test_a_text_is_found_in_every_form(tmp_path, form):
    assert found(tmp_path, ENCODED[form]) == {"name"}


NUMBERS = {
    "float32": struct.pack("<f", NUMBER),
    "float64": struct.pack("<d", NUMBER),
    "float64 of float32": struct.pack("<d", struct.unpack("<f", struct.pack("<f", NUMBER))[0]),
    "big-endian": struct.pack(">d", NUMBER),
    "six digits": b"max: 93.7183",
    "more digits": b"max: 93.71828",
    "all digits": b"max: 93.718281",
    "negative": b"-93.7183,",
}


@pytest.mark.parametrize("form", NUMBERS)
def test_a_number_is_found_in_every_form(tmp_path, form):
    assert found(tmp_path, b"xyz" + NUMBERS[form]) == {"number"}


def test_what_is_no_mark_is_not_found(tmp_path):
    assert found(tmp_path, b"Zyxwald, 193.7183, 0.937183, 93.71, 93.9182") == set()


def test_whole_numbers_in_tf_example(tmp_path):
    wanted = needles({}, {"id": 918273645.0})
    path = tmp_path / "varint"
    path.write_bytes(b"ab" + number_forms(918273645.0)["varint"] + b"cd")
    assert [leak.form for leak in search([path], wanted, tmp_path)] == ["varint"]


def test_parquet_sqlite_zip_and_names_of_files(tmp_path):
    table = pa.table({"who": [NAME] * 3, "x": pa.array([NUMBER] * 3, pa.float32())})
    pyarrow.parquet.write_table(table, tmp_path / "rows.parquet", compression="zstd")
    with sqlite3.connect(tmp_path / "store.db") as database:
        database.execute("CREATE TABLE t (x)")
        database.execute("INSERT INTO t VALUES (?)", ("y" * 4090 + NAME + "z" * 5000,))
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.txt", NAME * 9)
    (tmp_path / f"{NAME}.txt").write_text("nothing")
    (tmp_path / "link").symlink_to("nowhere")
    leaks = search(sorted(tmp_path.iterdir()), WANTED, tmp_path)
    files = {leak.file for leak in leaks}
    assert {"rows.parquet!parquet", "store.db!sqlite", "a.zip!inner.txt", f"{NAME}.txt (its name)"} <= files
    assert {leak.mark for leak in leaks if leak.file == "rows.parquet!parquet"} == {"name", "number"}


def test_a_short_mark_is_refused():
    with pytest.raises(ValueError, match="by chance"):
        text_forms("abc")


def test_a_damaged_database_under_an_odd_name_is_searched_as_it_is(tmp_path):
    path = tmp_path / "odd?name#1.db"
    with sqlite3.connect(str(path)) as database:
        database.execute("CREATE TABLE t (x)")
        database.execute("INSERT INTO t VALUES (?)", (NAME,))
    database.close()
    assert [name for name, data in contents(path) if NAME.encode() in data] == ["", "!sqlite"]
    data = path.read_bytes()
    path.write_bytes(data[:100] + bytes(64) + data[164:])
    assert NAME.encode() in b"".join(data for _, data in contents(path))
