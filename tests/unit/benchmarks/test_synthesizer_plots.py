"""The pictures of the synthesizer: what they show, and that the pages have them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# The benchmarks are no installed package.
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks.synthesizer import data, dense, plots, runners, store

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def case(monkeypatch: pytest.MonkeyPatch) -> data.Case:
    table = dense.simulate(1500, 0)
    names = [name for name in table.column_names if name != "timestamp"]
    found = data.divide("dense (simulated server)", table, data._numbers(names, 60.0, "timestamp"))
    monkeypatch.setattr(data, "shipped", lambda *_: iter([found]))
    monkeypatch.setattr(plots, "FEATURES", {"dense": plots.FEATURES["dense"][:2]})
    monkeypatch.setattr(plots, "WINDOWS", 40)
    return found


def _keep(case: data.Case, rows: store.Rows, *names: str) -> None:
    standing = store.Digests("made", "data", "measured")
    for name in names:
        rows.write(case.name, name, 0, standing, runners.Made(case.period, None, {}))


def test_the_same_rows_give_the_same_small_pictures(case: data.Case, tmp_path: Path) -> None:
    rows = store.Rows(tmp_path / "rows")
    _keep(case, rows, "ours", *plots.PEERS)
    drawn = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        assert plots.main(rows, folder) == 0
        drawn.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert drawn[0] == drawn[1]
    assert set(drawn[0]) == {
        f"synthesizer-dense-{kind}.png" for kind in ("distributions", "embeddings", "examples")
    }
    for name, content in drawn[0].items():
        assert len(content) < 150_000
        picture = np.asarray(Image.open(tmp_path / "one" / name).convert("RGB"))
        assert (picture[0, 0] == 255).all() and picture.std() > 10  # a white ground, and something on it


def test_without_rows_of_ours_nothing_is_drawn(
    case: data.Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = store.Rows(tmp_path / "rows")
    _keep(case, rows, plots.PEERS[0])
    assert plots.main(rows, tmp_path / "out") == 1 and not (tmp_path / "out").exists()
    assert "ours on dense (simulated server), of which no rows are kept" in capsys.readouterr().err


def test_windows_are_of_one_span_and_standardised_by_the_real_rows() -> None:
    rng = np.random.default_rng(0)
    values = np.cumsum(rng.normal(size=(400, 2)), 0)
    segment = np.repeat([0, 1], 200)
    real, made = (plots.Side(name, values * scale, segment) for name, scale in (("real", 1.0), ("ours", 2.0)))
    own, other = plots.windows([real, made])
    assert own.shape == (plots.WINDOWS, plots.WINDOW * 2)
    scaled = (values - values.mean(0)) / values.std(0)
    spans = [scaled[i : i + plots.WINDOW].ravel() for i in (*range(177), *range(200, 377))]
    assert all(min(np.abs(span - window).max() for span in spans) < 1e-9 for window in own[:20])
    assert np.abs(other).max() > np.abs(own).max()


def test_only_simulated_data_are_drawn() -> None:
    assert set(plots.FEATURES) == {"dense", "fleet"} and set(plots.PEERS) <= set(runners.RUNNERS)
    shipped = {path.name for path in plots.FOLDER.glob("synthesizer-*")}
    assert shipped == {
        f"synthesizer-{short}-{kind}.png"
        for short in plots.FEATURES
        for kind in ("distributions", "embeddings", "examples")
    }


def test_the_pages_show_every_picture_and_say_what_is_on_it() -> None:
    page = (ROOT / "docs" / "synthesizer.md").read_text()
    shown = {file: alt for alt, file in re.findall(r"!\[([^]]*)\]\(images/([\w.-]+)\)", page)}
    assert set(shown) == {path.name for path in plots.FOLDER.glob("synthesizer-*")}
    assert all(len(alt) > 30 for alt in shown.values())
    assert all(path.stat().st_size < 150_000 for path in plots.FOLDER.iterdir())
    assert re.search(
        r"!\[[^]]{30,}\]\(docs/images/synthesizer-[\w-]+\.png\)", (ROOT / "README.md").read_text()
    )
