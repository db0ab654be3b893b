"""A profile in a folder comes back as it was, or is refused with its file and the rule."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile

import numpy as np
import pytest

from components.drift.core import profile_file
from components.drift.core.profile_file import ARRAYS_FILE, PLAN_FILE, read_profile, write_profile
from components.errors import DataError
from tests.unit.drift.conftest import some_rows
from tests.unit.drift.profiles import assert_equal, build, planned

ROWS = some_rows(150)


@pytest.fixture(scope="module")
def profile(dataset):
    return build(ROWS, dataset, planned(ROWS, dataset))


def test_a_profile_comes_back_as_it_was_and_a_new_one_replaces_it(dataset, profile, tmp_path):
    for written in (profile, build([], dataset, profile.plan), build(ROWS[:1], dataset, profile.plan)):
        write_profile(tmp_path, written)
        found = read_profile(tmp_path)
        assert_equal(found, written)
        np.testing.assert_array_equal(found.sums, written.sums)
    assert sorted(path.name for path in tmp_path.iterdir()) == [PLAN_FILE, ARRAYS_FILE]


def test_a_histogram_of_billions_survives(profile, tmp_path):
    times = 4_000_000_007
    arrays = {
        field.name: getattr(profile, field.name) * times
        for field in dataclasses.fields(profile)
        if field.name not in ("plan", "bucket", "low", "high", "longest_still_s")
    }
    huge = dataclasses.replace(profile, **arrays)
    write_profile(tmp_path, huge)
    found = read_profile(tmp_path)
    np.testing.assert_array_equal(found.counts, profile.counts * times)
    assert found.counts.max() > 2**34 and found.rows.sum() == len(ROWS) * times


def _change(name, change):
    return lambda profile: dataclasses.replace(profile, **{name: change(getattr(profile, name).copy())})


def _set(value, position=0):
    def change(array):
        array.reshape(-1)[position] = value
        return array

    return change


@pytest.mark.parametrize(
    ("name", "change", "rule"),
    [
        ("counts", _set(-1), "a negative count"),
        ("counts", lambda array: array[:, 1:], "shape"),
        ("counts", lambda array: array.astype(np.float64), "type float64, expected int64"),
        ("counts", lambda array: array + 1, "do not add up"),
        ("missing", _set(-5), "a negative count"),
        ("sums", _set(np.nan), "not finite"),
        ("sums", _set(np.inf), "not finite"),
        ("sums", _set(-1.0, 1), "negative sum of squares"),
        ("bucket", lambda array: array[::-1], "do not ascend"),
        ("low", _set(1e9), "greater than high"),
        ("low", _set(np.nan), "none where there is one"),
        ("high", _set(np.inf), "an infinity"),
        ("high", lambda array: np.where(np.isnan(array), 0.0, array), "none where there is one"),
        ("pairs", lambda array: array + 1_000, "more than values"),
        ("still", lambda array: array + 1_000, "more than pairs"),
        ("longest_still_s", lambda array: array - 1e9, "negative time"),
        ("labelled", lambda array: array + 1_000, "more labels than rows"),
        ("labelled", lambda array: array + np.array([0, 1_000]), "more anomalies than labels"),
        ("complete", lambda array: array + 1_000, "more than rows"),
        ("cadence", lambda array: array + 1_000, "more steps than rows"),
        ("positive", lambda array: array + 1_000, "more than counts"),
        ("random", lambda array: array + 1_000, "larger than its rows"),
    ],
)
def test_what_no_rows_could_give_is_neither_written_nor_read(
    profile, tmp_path, monkeypatch, name, change, rule
):
    bad = _change(name, change)(profile)
    with pytest.raises(DataError, match=f"array '{name}': .*{rule}"):
        write_profile(tmp_path, bad)
    assert not list(tmp_path.iterdir())
    with monkeypatch.context() as patched:
        patched.setattr(profile_file, "check_profile", lambda *_: None)
        write_profile(tmp_path, bad)
    with pytest.raises(DataError, match=rule) as refused:
        read_profile(tmp_path)
    assert "\n" not in str(refused.value)


def _rewrite(folder, **changes):
    form = json.loads((folder / PLAN_FILE).read_text())
    (folder / PLAN_FILE).write_text(json.dumps({**form, **changes}))


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"version": 2}, "version"),
        ({"format": "other"}, "format"),
        ({"surprise": 1}, "surprise"),
        ({"bucket_s": 0}, "bucket_s"),
        ({"buckets": -1}, "buckets"),
        ({"buckets": 10**12}, "need over"),
        ({"buckets": 10**4}, "shape"),
        ({"arrays_sha256": "0"}, "digest differs"),
        ({"random_features": 6}, "shape"),
    ],
)
def test_a_changed_plan_file_is_refused(profile, tmp_path, changes, rule):
    write_profile(tmp_path, profile)
    _rewrite(tmp_path, **changes)
    with pytest.raises(DataError, match=rule):
        read_profile(tmp_path)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"edges": [1.0, 1.0]}, "ascend"),
        ({"scale": 0.0}, "scale"),
        ({"center": float("nan")}, "finite|NaN|JSON"),
        ({"categories": ["a"]}, "edges are for numeric"),
        ({"name": "count"}, "stands twice"),
    ],
)
def test_a_changed_feature_is_refused(profile, tmp_path, change, rule):
    write_profile(tmp_path, profile)
    features = json.loads((tmp_path / PLAN_FILE).read_text())["features"]
    _rewrite(tmp_path, features=[{**features[0], **change}, *features[1:]])
    with pytest.raises(DataError, match=rule):
        read_profile(tmp_path)


def _with_arrays(folder, content):
    (folder / ARRAYS_FILE).write_bytes(content)
    _rewrite(folder, arrays_sha256=hashlib.sha256(content).hexdigest())


def test_arrays_of_another_kind_are_refused_and_objects_are_never_unpickled(profile, tmp_path):
    write_profile(tmp_path, profile)
    arrays = dict(np.load(tmp_path / ARRAYS_FILE))

    def content(**changes):
        buffer = io.BytesIO()
        np.savez(buffer, **{**arrays, **changes})
        return buffer.getvalue()

    for bytes_, rule in (
        (b"no archive", "not a file of arrays"),
        (content(more=np.zeros(1)), "other arrays"),
        (content(rows=np.array([{}], dtype=object)), "not a file of arrays"),
        (content(rows=np.zeros(10**6, np.int64)), "larger than its shape"),
    ):
        _with_arrays(tmp_path, bytes_)
        with pytest.raises(DataError, match=rule):
            read_profile(tmp_path)
    with zipfile.ZipFile(tmp_path / ARRAYS_FILE, "w") as archive:
        archive.writestr("rows.npy", b"")
    _with_arrays(tmp_path, (tmp_path / ARRAYS_FILE).read_bytes())
    with pytest.raises(DataError, match="other arrays"):
        read_profile(tmp_path)


@pytest.mark.parametrize("name", [PLAN_FILE, ARRAYS_FILE])
def test_half_a_profile_is_none(profile, tmp_path, name):
    write_profile(tmp_path, profile)
    (tmp_path / name).unlink()
    with pytest.raises(DataError, match=name):
        read_profile(tmp_path)


def test_arrays_of_another_write_are_noticed(dataset, profile, tmp_path):
    """As after a crash between the two files."""
    write_profile(tmp_path, profile)
    before = (tmp_path / PLAN_FILE).read_bytes()
    write_profile(tmp_path, build(ROWS[:60], dataset, profile.plan))
    (tmp_path / PLAN_FILE).write_bytes(before)
    with pytest.raises(DataError, match="digest differs"):
        read_profile(tmp_path)
