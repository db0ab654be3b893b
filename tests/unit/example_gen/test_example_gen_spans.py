"""Span resolution: patterns, versions, dates, fingerprints, any fsspec file system."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from components.errors import ConfigError, DataError
from components.example_gen.core.spans import list_files, list_spans, resolve_sources, resolve_span


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def names(resolved: object) -> list[str]:
    return [file.name for file in resolved.files]  # type: ignore[attr-defined]


def test_spans_and_versions(tmp_path: Path) -> None:
    touch(tmp_path, "s-1/v-1/a.csv", "s-2/v-9/a.csv", "s-2/v-10/b.csv", "s-2/v-10/a.csv", "s-x/v-1/a.csv")
    pattern = f"{tmp_path}/s-{{SPAN}}/v-{{VERSION}}/*.csv"
    latest = resolve_span(pattern, "latest")
    assert (latest.span, latest.version) == (2, 10)  # a number, not a text: 10 > 9
    assert names(latest) == ["s-2/v-10/a.csv", "s-2/v-10/b.csv"]
    assert resolve_span(pattern, 1).version == 1
    assert list_spans(pattern) == [1, 2]
    found = {key: [file.name for file in files] for key, files in list_files(pattern)[1].items()}
    assert found == {
        (1, 1): ["s-1/v-1/a.csv"],
        (2, 9): ["s-2/v-9/a.csv"],
        (2, 10): ["s-2/v-10/a.csv", "s-2/v-10/b.csv"],
    }
    with pytest.raises(DataError, match=r"span 7 does not exist. Spans there, newest first: 2, 1\."):
        resolve_span(pattern, 7)


def test_width_is_exact(tmp_path: Path) -> None:
    touch(tmp_path, "0004.csv", "12345.csv", "4.csv")
    assert list_spans(f"{tmp_path}/{{SPAN:04}}.csv") == [4]
    assert list_spans(f"{tmp_path}/{{SPAN:4}}.csv") == [4]


def test_dates_count_days_since_1970(tmp_path: Path) -> None:
    touch(tmp_path, "1970-01-02.csv", "2024-02-30.csv", "2024-02-29.csv")
    pattern = f"{tmp_path}/{{YYYY}}-{{MM}}-{{DD}}.csv"
    # 2024-02-29: 54 years of 365 days, 13 leap days (1972..2020), 31 + 28 days of the year.
    assert list_spans(pattern) == [1, 54 * 365 + 13 + 31 + 28]


def test_a_repeated_token_must_agree(tmp_path: Path) -> None:
    touch(tmp_path, "1/data-1.csv", "1/data-2.csv")
    assert names(resolve_span(f"{tmp_path}/{{SPAN}}/data-{{SPAN}}.csv")) == ["1/data-1.csv"]


def test_many_spans_are_listed_briefly(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{span}.csv" for span in range(8)))
    with pytest.raises(DataError, match=r"7, 6, 5, 4, 3 and 3 more\."):
        resolve_span(f"{tmp_path}/{{SPAN}}.csv", 99)


def test_plain_globs_are_span_0(tmp_path: Path) -> None:
    touch(tmp_path, "a.csv", "b.csv", "deep/er/c.csv", "d.txt")
    assert names(resolve_span(f"{tmp_path}/*.csv")) == ["a.csv", "b.csv"]
    assert names(resolve_span(f"{tmp_path}/**/*.csv", 0))[-1] == "deep/er/c.csv"
    assert names(resolve_span(f"{tmp_path}/[!a].csv")) == ["b.csv"]
    assert names(resolve_span(f"{tmp_path}/?.txt")) == ["d.txt"]
    assert names(resolve_span(f"{tmp_path}/a.csv")) == ["a.csv"]
    with pytest.raises(DataError, match=r"has no \{SPAN\}, so span 0 is all there is; asked for 3"):
        resolve_span(f"{tmp_path}/*.csv", 3)


def test_nothing_matches(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file matches"):
        resolve_span(f"{tmp_path}/{{SPAN}}.csv", 1)


def test_fingerprint_sees_names_and_contents_not_the_place(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.csv", "y/a.csv", "z/b.csv")
    for folder in "xy":
        (tmp_path / folder / "a.csv").write_text("same")
    (tmp_path / "z" / "b.csv").write_text("same")
    prints = [resolve_span(f"{tmp_path}/{folder}/*.csv").fingerprint for folder in "xyz"]
    assert prints[0] == prints[1] != prints[2]
    (tmp_path / "x" / "a.csv").write_text("sama")
    assert resolve_span(f"{tmp_path}/x/*.csv").fingerprint != prints[0]


def test_any_file_system(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/spans-test/span-3/data.csv", b"a")
    resolved = resolve_span("memory://spans-test/span-{SPAN}/*.csv", 3)
    assert names(resolved) == ["span-3/data.csv"]
    assert resolved.filesystem.cat(resolved.files[0].path) == b"a"
    assert (
        resolve_span("memory://spans-test/span-{SPAN}/*.csv", 3, memory).fingerprint == resolved.fingerprint
    )


def test_a_remote_file_is_not_read_for_its_fingerprint() -> None:
    class Store(type(fsspec.filesystem("memory"))):  # type: ignore[misc]
        protocol = "store"
        etag = "1"

        def info(self, path: str, **_: object) -> dict[str, object]:
            return {"name": path, "size": 1, "type": "file", "ETag": self.etag}

        def open(self, *_: object, **__: object) -> None:
            raise AssertionError("read")

    fsspec.filesystem("memory").pipe("/remote-test/a.csv", b"a")
    store = Store()
    first = resolve_span("/remote-test/a.csv", filesystem=store).fingerprint
    store.etag = "2"
    assert resolve_span("/remote-test/a.csv", filesystem=store).fingerprint != first


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("a/{SPANS}.csv", "unknown token {SPANS}"),
        ("a/{YYYY}-{MM}.csv", "a date needs all of"),
        ("a/{SPAN}/{YYYY}-{MM}-{DD}.csv", "either {SPAN} or a date"),
        ("a/{VERSION}.csv", "{VERSION} needs {SPAN} or a date"),
        ("nosuch://a/b.csv", "nosuch"),
    ],
)
def test_malformed_patterns(pattern: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("{", r"\{")):
        resolve_span(pattern)


def test_several_sources_share_a_span(tmp_path: Path) -> None:
    touch(tmp_path, "a-1.csv", "a-2.csv", "b-1.csv", "c-5.csv", "plain.csv")
    a, b, c = (f"{tmp_path}/{letter}-{{SPAN}}.csv" for letter in "abc")
    span, resolved, digest = resolve_sources([a, b, f"{tmp_path}/plain.csv"])
    assert span == 1
    assert [names(item) for item in resolved] == [["a-1.csv"], ["b-1.csv"], ["plain.csv"]]
    assert resolve_sources([a, b], 1)[2] != digest
    with pytest.raises(DataError, match="no span is common"):
        resolve_sources([a, c])
    with pytest.raises(DataError, match="no file matches"):
        resolve_sources([a, f"{tmp_path}/none-{{SPAN}}.csv"])
    assert resolve_sources([f"{tmp_path}/plain.csv"], 0)[0] == 0
