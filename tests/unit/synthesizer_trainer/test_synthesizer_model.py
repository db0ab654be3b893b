"""Fit, sample, save: the synthesizer as a whole on a small simulated plant, without TFX."""

from __future__ import annotations

import dataclasses
import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from components.dataset import DatasetConfig, FeatureConfig
from components.errors import DataError, InsufficientDataError
from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from components.synthesizer_trainer.core import adversarial, conforming
from components.synthesizer_trainer.core.adversarial import Fidelity
from components.synthesizer_trainer.core.fidelity import autocorrelation, compare, ks_similarity
from components.synthesizer_trainer.core.network import Generator
from components.synthesizer_trainer.core.panel import Panel, build_panel, check_enough, check_rows
from components.synthesizer_trainer.core.planning import Session, real_grid
from components.synthesizer_trainer.core.sampling import Synthesizer
from components.synthesizer_trainer.core.training import Trained, train_synthesizer
from components.synthesizer_trainer.core.training_paths import evaluator_of

pytestmark = pytest.mark.heavy

DATASET = DatasetConfig(
    series=("asset",),
    label="label",
    label_kind="kind",
    features=(
        FeatureConfig(name="temp"),
        FeatureConfig(name="count", kind="integer"),
        FeatureConfig(name="constant"),
        FeatureConfig(name="void"),
        FeatureConfig(name="heater", kind="binary"),
        FeatureConfig(name="mode", kind="categorical"),
    ),
    targets=("temp",),
    interval_s=600,
)
VOCABULARIES = {"mode": ("day", "night")}
KINDS = ("shift", "stuck")


def make_table(days: int = 8, seed: int = 0) -> pa.Table:
    """Two series and a third of one row; a daily cycle, a thermostat, two kinds of anomaly, nulls."""
    generator = np.random.default_rng(seed)
    parts = []
    for number in range(2):
        rows = days * 144
        hour = np.arange(rows) % 144 / 6
        temp = np.zeros(rows)
        wander = 0.0
        for t in range(rows):
            wander = 0.9 * wander + 0.2 * generator.normal()
            temp[t] = 20 + number + 3 * np.sin(2 * np.pi * hour[t] / 24) + wander
        heater = (temp + 0.2 * generator.normal(size=rows) < 19 + number).astype(np.int64)
        kind = np.full(rows, "", object)
        for start in range(100, rows - 100, 300):
            temp[start : start + 20] += 6
            kind[start : start + 20] = "shift"
            temp[start + 60 : start + 80] = temp[start + 60]
            kind[start + 60 : start + 80] = "stuck"
        temp = np.round(temp, 2)
        temp[generator.random(rows) < 0.02] = np.nan
        parts.append(
            pa.table(
                {
                    "timestamp": (np.arange(rows) * 600 * 10**6).astype(np.int64),
                    "asset": [f"asset-{number}"] * rows,
                    "temp": pa.array(temp.astype(np.float32), from_pandas=True),
                    "count": generator.poisson(20 + 5 * np.sin(2 * np.pi * hour / 24)),
                    "constant": np.full(rows, 3.5, np.float32),
                    "void": pa.nulls(rows, pa.float32()),
                    "heater": heater,
                    "mode": np.where((hour > 6) & (hour < 18), "day", "night"),
                    "label": (kind != "").astype(np.int64),
                    "kind": kind.astype(str),
                }
            )
        )
    alone = parts[0].slice(5, 1).set_column(1, "asset", pa.array(["asset-9"]))
    return pa.concat_tables([*parts, alone])


def quantiles_of(panel: Panel) -> tuple[dict[str, np.ndarray], dict[str, tuple[float, float]]]:
    """What the analysers give, by NumPy."""
    quantiles, ranges = {}, {}
    for index, feature in enumerate(DATASET.features):
        known = panel.values[~np.isnan(panel.values[:, index]), index]
        normal = panel.values[~np.isnan(panel.values[:, index]) & (panel.kind == 0), index]
        if len(known) and feature.kind != "categorical":
            quantiles[feature.name] = np.quantile(normal, np.linspace(0, 1, 201), method="nearest")
            ranges[feature.name] = float(known.min()), float(known.max())
    return quantiles, ranges


def train(panel: Panel, **changes: object) -> Trained:
    """A small training run."""
    options = {key: changes.pop(key) for key in ("checkpoint_dir", "progress") if key in changes}
    config = SynthesizerTrainerConfig.small(DATASET, **{"max_steps": 0, "critic_steps": 1, **changes})
    return train_synthesizer(panel, None, config, *quantiles_of(panel), 7, "locale=xx", **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def panel() -> Panel:
    return build_panel(make_table(), DATASET, VOCABULARIES, KINDS, "locale=xx")


@pytest.fixture(scope="module")
def trained(panel: Panel) -> Trained:
    return train(panel)


def _sample(
    synthesizer: Synthesizer, panel: Panel, factor: float = 1.0, seed: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    grid = real_grid(panel.time_us, panel.series, DATASET.interval_s)
    sessions = synthesizer.plan_events(grid, dict.fromkeys(KINDS, factor), seed)
    parts = synthesizer.sample(sessions, seed)
    return np.concatenate([p["values"] for p in parts]), np.concatenate([p["kind"] for p in parts])


def test_the_panel_is_sorted_and_cut_at_gaps(panel: Panel) -> None:
    table = make_table()
    shuffled = table.take(np.random.default_rng(0).permutation(table.num_rows))
    again = build_panel(shuffled, DATASET, VOCABULARIES, KINDS, "x")
    assert np.array_equal(again.values, panel.values, equal_nan=True)
    assert panel.n_series == 3 and panel.segment.max() == 2
    holed = build_panel(
        table.filter(pa.array(np.arange(table.num_rows) != 50)), DATASET, VOCABULARIES, KINDS, "x"
    )
    assert holed.segment.max() == 3


def test_fidelity_of_the_core(panel: Panel, trained: Trained) -> None:
    values, _ = _sample(Synthesizer(trained.module), panel)
    found = compare(panel.values, panel.segment, values, panel.segment, [0, 1])
    # Two halves of 1,152 autocorrelated rows differ by about 0.05 themselves.
    assert found["marginal"] > 0.93 and found["worst"] > 0.85
    assert found["pair"] > 0.9 and found["acf"] < 0.1 and found["step"] > 0.9


def test_a_long_release_is_conformed_and_a_short_one_is_not(
    panel: Panel, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    synthesizer = Synthesizer(trained.module)
    grid = real_grid(panel.time_us, panel.series, DATASET.interval_s)[:2]
    # Of the three series the last has one row; sessions 3 and 4 are in the style of the first two.
    long = [dataclasses.replace(grid[n % 3], number=n) for n in (0, 1, 3, 4)]
    values = np.concatenate([part["values"] for part in synthesizer.sample(long, 5)])
    calm = panel.values[panel.kind == 0]
    for feature in (0, 1):
        sides = [rows[~np.isnan(rows[:, feature]), feature] for rows in (calm, values)]
        assert ks_similarity(*sides) > 0.975

    def never(*_: object) -> None:
        raise AssertionError("a short release was conformed")

    monkeypatch.setattr(conforming, "fit_maps", never)
    short = [dataclasses.replace(s, keep=s.keep[:500], time_us=s.time_us[:500]) for s in long]
    assert sum(len(part["values"]) for part in synthesizer.sample(short, 5)) == 2000
    with pytest.raises(AssertionError, match="short release"):
        synthesizer.sample(long, 5)


def test_a_model_of_an_earlier_version_is_refused_in_one_line() -> None:
    old = SimpleNamespace(metadata=SimpleNamespace(numpy=lambda: b'{"features": 2}'))
    with pytest.raises(DataError, match=r"^the synthesizer's model .* an earlier version.*again\.$"):
        Synthesizer(old)


def test_columns_without_variation_stay_as_they_are(panel: Panel, trained: Trained) -> None:
    values, _ = _sample(Synthesizer(trained.module), panel)
    assert (values[:, 2] == 3.5).all() and np.isnan(values[:, 3]).all()
    assert set(np.unique(values[:, 4])) <= {0.0, 1.0} and set(np.unique(values[:, 5])) <= {0.0, 1.0}
    assert (values[:, 1] == np.rint(values[:, 1])).all()
    assert np.isnan(values[:, 0]).mean() == pytest.approx(0.02, abs=0.012)


def test_the_sensors_lattice_and_range_are_kept(panel: Panel, trained: Trained) -> None:
    values, _ = _sample(Synthesizer(trained.module), panel)
    temp = values[~np.isnan(values[:, 0]), 0]
    assert np.abs(temp * 100 - np.rint(temp * 100)).max() < 0.02
    assert temp.min() >= np.nanmin(panel.values[:, 0]) - 0.5
    assert temp.max() <= np.nanmax(panel.values[:, 0]) + 0.5


def test_anomalies_do_what_the_real_ones_do(panel: Panel, trained: Trained) -> None:
    values, kind = _sample(Synthesizer(trained.module), panel, factor=2.0)
    found, wanted = (
        np.nanmean(rows[kinds == 1, 0]) - np.nanmean(rows[kinds == 0, 0])
        for rows, kinds in ((values, kind), (panel.values, panel.kind))
    )
    assert found == pytest.approx(wanted, abs=1.2)
    stuck = kind == 2
    both = stuck[1:] & stuck[:-1]
    moved = np.abs(np.diff(values[:, 0])[both])
    moved = moved[~np.isnan(moved)]
    # Two events that touch count as one move each.
    assert (moved == 0).mean() > 0.9


def test_amplification_multiplies_events(panel: Panel, trained: Trained) -> None:
    synthesizer = Synthesizer(trained.module)
    share = [(_sample(synthesizer, panel, factor)[1] > 0).mean() for factor in (0.0, 1.0, 2.0)]
    assert share[0] == 0
    assert share[1] == pytest.approx((panel.kind > 0).mean(), rel=0.35)
    assert share[2] > 1.5 * share[1]


def test_a_longer_release_begins_like_a_shorter_one(panel: Panel, trained: Trained) -> None:
    synthesizer = Synthesizer(trained.module)
    first = real_grid(panel.time_us, panel.series, DATASET.interval_s)[0]
    # Five sessions run in eight lanes; 700 rows in one block of 1,024, 1,152 in two.
    long = [dataclasses.replace(first, number=n) for n in range(5)]
    short = [dataclasses.replace(s, keep=s.keep[:700], time_us=s.time_us[:700]) for s in long]
    for whole, part in zip(synthesizer.latent_paths(long, 6), synthesizer.latent_paths(short, 6)):
        assert whole.shape[:2] == (5, 1152) and part.shape[:2] == (5, 700)
        assert (whole[:, :700] == part).all()
    scores = synthesizer.latent_paths(long, 6)[0]
    # Counts repeat, and where the calibration is flat so may a temperature: by chance, in one session. At the
    # border of two blocks it would be all.
    assert (np.abs(np.diff(scores, axis=1)).max(2) == 0).sum(0).max() < 2


def test_same_seed_same_bytes_other_seed_other_bytes(panel: Panel, trained: Trained) -> None:
    synthesizer = Synthesizer(trained.module)
    first, again, other = (_sample(synthesizer, panel, seed=s)[0] for s in (3, 3, 4))
    assert first.tobytes() == again.tobytes() and first.tobytes() != other.tobytes()


def test_no_training_row_is_replayed(panel: Panel, trained: Trained) -> None:
    values, _ = _sample(Synthesizer(trained.module), panel)
    # Windows of 12 readings: no sampled window equals a real one.
    real, made = panel.values[:, 0], values[:, 0]
    windows = [np.lib.stride_tricks.sliding_window_view(x, 12) for x in (real, made)]
    moving = [w[(~np.isnan(w).any(1)) & (w.std(1) > 0.1)] for w in windows]
    seen = {row.tobytes() for row in np.round(moving[0], 2)}
    assert len(moving[1]) > 500 and not any(row.tobytes() in seen for row in np.round(moving[1], 2))


def test_a_session_depends_on_its_number_not_on_its_company(panel: Panel, trained: Trained) -> None:
    synthesizer = Synthesizer(trained.module)
    grid = real_grid(panel.time_us, panel.series, DATASET.interval_s)
    styles = [synthesizer._styles(np.array([n]), 5)[0] for n in (0, 1)]
    assert np.array_equal(np.concatenate(styles), synthesizer._styles(np.array([0, 1]), 5)[0])
    planned = synthesizer.plan_events(grid, {}, 1)
    assert [s.number for s in planned] == [0, 1, 2]
    for session in planned:
        ends = [event.start + event.rows for event in session.events]
        assert all(a <= b.start for a, b in zip(ends, session.events[1:]))


@pytest.mark.slow
def test_a_saved_model_samples_the_same_bytes_in_a_clean_process(
    panel: Panel, trained: Trained, tmp_path: Path
) -> None:
    trained.save(str(tmp_path / "model"))
    here, _ = _sample(Synthesizer(trained.module), panel)
    code = f"""
import sys
import numpy as np
from components.synthesizer_trainer.core.sampling import Synthesizer
from components.synthesizer_trainer.core.planning import Session
synthesizer = Synthesizer.load({str(tmp_path / "model")!r})
assert "apache_beam" not in sys.modules and "tensorflow_transform" not in sys.modules
grid = np.load({str(tmp_path / "grid.npz")!r})
from components.synthesizer_trainer.core.planning import real_grid
sessions = synthesizer.plan_events(real_grid(grid["t"], grid["s"], 600.0), dict(shift=1.0, stuck=1.0), 3)
values = np.concatenate([p["values"] for p in synthesizer.sample(sessions, 3)])
np.save({str(tmp_path / "values.npy")!r}, values)
"""
    np.savez(tmp_path / "grid.npz", t=panel.time_us, s=panel.series)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert np.load(tmp_path / "values.npy").tobytes() == here.tobytes()
    assert sum(f.stat().st_size for f in (tmp_path / "model").rglob("*") if f.is_file()) < 20e6
    assert not list((tmp_path / "model").rglob("*.pkl"))


@pytest.mark.slow
def test_adversarial_training_never_ends_below_the_core(panel: Panel, tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    found = train(
        panel,
        max_steps=6,
        evaluate_every=3,
        patience=9,
        checkpoint_dir=tmp_path,
        progress=lambda step, steps, words: heard.append((step, steps)),
    )
    report = found.report
    assert report["training"]["steps"] == 6 and len(report["training"]["log"]) == 2
    assert report["fidelity_best"]["score"] >= report["fidelity_core"]["score"]
    assert report["network_parameters"] > 1000 and report["kinds"] == {"shift": 8, "stuck": 8}
    assert heard[0] == (1, 6)
    assert json.loads((tmp_path / "state.json").read_text())["checkpoint"] == "ckpt-6"


def test_too_few_rows_are_refused_at_the_start(panel: Panel) -> None:
    with pytest.raises(InsufficientDataError, match=r"locale=xx: 10 rows .* at least 200 \(min_train_rows\)"):
        check_rows(make_table().slice(0, 10), DATASET, 200, "locale=xx")
    few = dataclasses.replace(panel, kind=np.ones(len(panel), np.int32))
    with pytest.raises(InsufficientDataError, match="0 rows of normal operation"):
        check_enough(few, 200, 2, "locale=xx")
    scattered = dataclasses.replace(panel, segment=np.arange(len(panel), dtype=np.int32))
    with pytest.raises(InsufficientDataError, match="longest run of rows without a gap is 1"):
        check_enough(scattered, 200, 2, "locale=xx")


def test_a_missing_column_is_named() -> None:
    with pytest.raises(DataError, match="column temp is missing"):
        build_panel(make_table().drop(["temp"]), DATASET, VOCABULARIES, KINDS, "locale=xx")


def test_discrete_columns_alone_make_a_synthesizer(panel: Panel) -> None:
    dataset = DATASET.model_copy(
        update={
            "features": tuple(f for f in DATASET.features if f.name in ("constant", "heater", "mode")),
            "targets": ("constant",),
        }
    )
    own = build_panel(make_table(), dataset, VOCABULARIES, KINDS, "x")
    config = SynthesizerTrainerConfig.small(dataset, max_steps=3)
    found = train_synthesizer(own, None, config, {}, {}, 1, "locale=xx")
    assert found.report["training"]["stopped"] == "no numeric feature"
    grid = real_grid(own.time_us, own.series, 600.0)
    values = np.concatenate([p["values"] for p in Synthesizer(found.module).sample(grid, 1)])
    assert ks_similarity(own.values[:, 2], values[:, 2]) > 0.9


def test_long_sessions_cross_blocks_without_a_seam(trained: Trained) -> None:
    synthesizer = Synthesizer(trained.module)
    keep = np.arange(5000)
    session = Session(0, 0, keep, keep * 600 * 10**6)
    values = synthesizer.sample([session], 1)[0]["values"]
    steps = np.abs(np.diff(values[:, 0]))
    assert len(values) == 5000 and np.nanmax(steps) < 8


def test_ks_and_autocorrelation_by_hand() -> None:
    assert ks_similarity(np.array([0.0, 1.0]), np.array([2.0, 3.0])) == 0.0
    assert ks_similarity(np.arange(10.0), np.arange(10.0)) == 1.0
    # An alternating series has autocorrelation -1 at lag 1 and 1 at lag 2.
    values = np.tile([1.0, -1.0], 50)
    assert autocorrelation(values, np.zeros(100), 2) == pytest.approx([-1, 1])
    assert np.isnan(autocorrelation(values, np.arange(100), 2)).all()


def _fidelity(score: float, own: list[float]) -> Fidelity:
    return Fidelity({"score": score}, np.array(own))


class Bench:
    """A tiny adversary that starts anew as often as wanted: its steps are compiled once, for seconds."""

    features = 3

    def __init__(self) -> None:
        config = SynthesizerTrainerConfig.small(
            DATASET, window_steps=8, critic_steps=1, batch_size=4, generator_units=4, critic_units=4
        )
        rows = np.random.default_rng(0).normal(size=(200, self.features)).astype(np.float32)
        nothing = np.zeros_like(rows)
        self.paths = adversarial.Paths(rows, rows[:, :1], nothing.astype(bool), nothing, np.arange(100))
        middles = np.linspace(-5, 5, 2001)[None].repeat(self.features, axis=0)
        self.adversary = adversarial.Adversary(config, self.features, 1, middles, False, 1)
        self._config = config
        self._first = [variable.numpy() for variable in self.adversary.variables]

    def train(self, evaluate: Callable[..., float | Fidelity], **changes: Any) -> dict[str, Any]:
        """Trains from the first weights, optimisers included, on; the core's score is 0.5."""
        options = {key: changes.pop(key) for key in ("checkpoint_dir", "progress") if key in changes}
        for variable, value in zip(self.adversary.variables, self._first, strict=True):
            variable.assign(value)
        self.adversary.config = self._config.model_copy(update={"evaluate_every": 1, **changes})
        options.setdefault("checkpoint_dir", None)

        def look(generator: Any, moved: np.ndarray) -> Fidelity:
            found = evaluate(generator, moved)
            return found if isinstance(found, Fidelity) else _fidelity(found, [1.0] * self.features)

        core = _fidelity(0.5, [0.0] * self.features)
        return adversarial.train(self.adversary, self.paths, self.paths, look, core, seed=1, **options)


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


def _size(generator: Any, moved: np.ndarray) -> float:
    """A score that no two sets of weights share."""
    return -float(sum(np.abs(v.numpy()).sum() for v in generator.trainable_variables))


@pytest.mark.slow
def test_a_killed_training_resumes_and_ends_alike(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = {"max_steps": 6, "evaluate_every": 2, "patience": 9}
    whole = bench.train(_size, checkpoint_dir=tmp_path / "whole", **steps)
    weights = [v.numpy() for v in bench.adversary.generator_variables + bench.adversary.critic_variables]

    # The kill comes after the first checkpoint.
    real_write = adversarial.write_json

    def write_then_die(path: Path, value: object) -> None:
        real_write(path, value)
        raise KeyboardInterrupt

    monkeypatch.setattr(adversarial, "write_json", write_then_die)
    with pytest.raises(KeyboardInterrupt):
        bench.train(_size, checkpoint_dir=tmp_path / "part", **steps)
    monkeypatch.setattr(adversarial, "write_json", real_write)
    resumed = bench.train(_size, checkpoint_dir=tmp_path / "part", **steps)
    assert resumed["resumed_at"] == 2 and whole["resumed_at"] == 0
    scores = [line["score"] for line in whole["log"]]
    assert [line["score"] for line in resumed["log"]] == scores and len(set(scores)) == 3
    after = [v.numpy() for v in bench.adversary.generator_variables + bench.adversary.critic_variables]
    assert all(np.array_equal(a, b) for a, b in zip(weights, after, strict=True))


@pytest.mark.slow
def test_minutes_are_kept_and_progress_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    # The clock goes on by two seconds at each look: one before a step, one after it.
    clock = itertools.count(1000, 2)
    monkeypatch.setattr(adversarial.time, "monotonic", lambda: float(next(clock)))
    heard: list[tuple[int, int]] = []
    found = bench.train(
        _size,
        max_steps=100,
        evaluate_every=50,
        max_minutes=0.5,
        progress=lambda step, steps, words: heard.append((step, steps)),
    )
    # The looks before the steps are 2, 6, ..., 30 and 34 s after the start; 30 s are allowed.
    assert found["stopped"] == "max_minutes" and found["steps"] == 8
    # Every second look after a step is more than PROGRESS_S after the last word.
    assert heard == [(step, 100) for step in (1, 3, 5, 7)]


def test_a_generator_that_held_out_rows_dislike_is_thrown_away(bench: Bench) -> None:
    worse = bench.train(lambda *_: 0.4, max_steps=3, patience=2)
    assert worse["best_step"] == 0 and worse["best_score"] == 0.5 and worse["stopped"] == "patience"
    last = bench.adversary.average.last.trainable_variables
    assert all(not np.any(v.numpy()) for v in last)
    assert worse["features"] == 0
    better = bench.train(lambda *_: 0.6, max_steps=3)
    assert better["best_step"] == 1 and better["best_score"] == 0.6 and better["features"] == 3
    assert all(np.any(v.numpy()) for v in last)


def _moves(bench: Bench) -> list[bool]:
    """Which features the average generator moves."""
    scores = tf.constant(bench.paths.scores[None])
    condition = tf.constant(bench.paths.condition[None])
    noise = tf.random.stateless_normal([1, 200, bench.adversary.config.noise_channels], [1, 2])
    return (bench.adversary.average(scores, condition, noise).numpy() != 0).any((0, 1)).tolist()


def test_a_feature_that_the_core_has_right_is_left_to_it(bench: Bench) -> None:
    """The residual makes the middle feature worse, and all of it is worse than the core."""

    def judged(generator: Any, moved: np.ndarray) -> Fidelity:
        own = np.where(moved, [0.1, -0.3, 0.1], 0.0)
        return _fidelity(0.5 + own.sum(), own.tolist())

    found = bench.train(judged, max_steps=2, patience=2)
    assert found["best_step"] == 1 and found["features"] == 2
    assert found["best_score"] == pytest.approx(0.7)
    assert [line["score"] for line in found["log"]] == pytest.approx([0.7, 0.7])
    assert _moves(bench) == [True, False, True]


def test_all_features_are_moved_where_only_together_they_gain(bench: Bench) -> None:
    def judged(generator: Any, moved: np.ndarray) -> Fidelity:
        return _fidelity(0.9 if moved.all() else 0.4, [0.1, -0.1, 0.1])

    found = bench.train(judged, max_steps=1)
    assert found["features"] == 3 and found["best_score"] == 0.9 and all(_moves(bench))


@pytest.mark.slow
def test_which_features_are_moved_stands_in_the_checkpoint(bench: Bench, tmp_path: Path) -> None:
    def judged(generator: Any, moved: np.ndarray) -> Fidelity:
        return _fidelity(0.6, [0.1, -0.1, -0.1]) if moved.all() else _fidelity(0.7, [0.1, 0.0, 0.0])

    options = {"max_steps": 2, "patience": 9, "checkpoint_dir": tmp_path}
    assert bench.train(judged, **options)["features"] == 1
    again = bench.train(judged, **options)
    assert again["resumed_at"] == 2 and again["features"] == 1
    assert _moves(bench) == [True, False, False]
    # A checkpoint of a version that moved all features.
    notes = json.loads((tmp_path / "state.json").read_text())
    del notes["state"]["moved"]
    (tmp_path / "state.json").write_text(json.dumps(notes))
    assert bench.train(judged, **options)["features"] == 3 and all(_moves(bench))


@pytest.mark.slow
def test_features_that_are_not_moved_are_the_cores(panel: Panel, trained: Trained) -> None:
    synthesizer = Synthesizer(trained.module)
    grid = real_grid(panel.time_us, panel.series, DATASET.interval_s)[:2]
    # Too short to be conformed, which moves features together.
    sessions = [dataclasses.replace(s, keep=s.keep[:500], time_us=s.time_us[:500]) for s in grid]
    paths = synthesizer.latent_paths(sessions, 3)
    evaluate = evaluator_of(synthesizer, sessions, paths, panel, synthesizer.numeric, 3)
    channels = synthesizer.condition(paths[3], paths[2], paths[1]).shape[-1]
    generator = Generator(2, channels, units=4, noise_channels=2, seed=1)
    generator.last.weights.assign(tf.random.stateless_normal(generator.last.weights.shape, [1, 2]))
    core, whole = evaluate(None, None), evaluate(generator, None)
    first = evaluate(generator, np.array([True, False]))
    assert first.own[0] == whole.own[0] != core.own[0]
    assert first.own[1] == core.own[1] != whole.own[1]
    generator.keep_to(np.array([True, False]))
    kept = evaluate(generator, None)
    assert kept.parts == first.parts and kept.own.tolist() == first.own.tolist()
