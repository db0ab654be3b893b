"""The copula transform: atoms, lattices, tails, and the inverse."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.synthesizer_trainer.core import columns


def _table(values: np.ndarray, **options: object) -> columns.ColumnTable:
    quantiles = np.quantile(values, np.linspace(0, 1, 201), method="nearest")
    return columns.build_table(
        quantiles,
        (float(values.min()), float(values.max())),
        len(values),
        **options,  # type: ignore[arg-type]
    )


def test_normal_values_come_back() -> None:
    values = np.random.default_rng(0).normal(5, 2, 5000)
    column = _table(values)
    back = columns.decode(column.table[None], column.encode(values)[:, None])[:, 0]
    # Between two of 200 quantiles the map is linear: the body is exact to a fraction of a percent.
    body = np.abs(values - 5) < 4
    assert np.abs(back - values)[body].max() < 0.02
    assert column.scale == pytest.approx(2, rel=0.1)


def test_heavy_tails_use_ranks_and_light_ones_their_own_scale() -> None:
    generator = np.random.default_rng(0)
    light, heavy = generator.normal(size=4000), np.exp(2 * generator.normal(size=4000))
    assert columns.is_light_tailed(np.quantile(light, np.linspace(0, 1, 201)))
    assert not columns.is_light_tailed(np.quantile(heavy, np.linspace(0, 1, 201)))
    scores = _table(heavy).encode(heavy)
    # Normal scores whatever the marginal: mean 0, standard deviation 1.
    assert abs(np.mean(scores)) < 0.05 and np.std(scores) == pytest.approx(1, abs=0.05)


def test_atoms_come_back_exactly_and_in_their_share() -> None:
    generator = np.random.default_rng(1)
    values = np.where(generator.random(20_000) < 0.6, 0.0, np.exp(generator.normal(size=20_000)))
    column = _table(values)
    back = columns.decode(column.table[None], generator.normal(size=(50_000, 1)))[:, 0]
    assert np.mean(back == 0.0) == pytest.approx(0.6, abs=0.015)
    assert not ((back > 0) & (back < values[values > 0].min() * 0.5)).any()


@pytest.mark.parametrize("shift", np.linspace(0.0, 0.02, 9))
def test_a_saturated_end_comes_back_wherever_it_falls_on_the_grid(shift: float) -> None:
    """A full battery: its own scale has no width for the rows that are at 1.0 exactly."""
    charge = np.random.default_rng(3).uniform(shift, 1.12, 20_000)
    charge = np.where(np.random.default_rng(4).random(20_000) < 0.04, 0.999, np.minimum(charge, 1.0).round(3))
    for sign in (1, -1):
        values = sign * charge
        column = _table(values, step=0.001)
        assert columns.is_light_tailed(np.quantile(values, np.linspace(0, 1, 201)))
        scores = column.encode(values)[:, None].astype(np.float32)
        for table in (column.table, columns.limit_table(column, (-1.0, 1.0)).table):
            back = (columns.decode(table[None], scores)[:, 0] / 0.001).round() * 0.001
            assert np.abs(back[charge == 1.0] - sign).max() < 1e-6
            # The grid is coarser than the sensor, and between ties the nearer one is taken.
            assert np.abs(back - values).max() < 0.005 and np.abs(back[charge < 1.0]).max() < 1.0 - 1e-6


def test_both_saturated_ends_stand_on_the_grid() -> None:
    scores = np.array([-1.4031, -1.4031, 0.1, 1.7264, 1.7264])
    spacing = 2 * columns.GRID_LIMIT / (columns.GRID_SIZE - 1)
    for ends in ((True, True), (True, False), (False, True)):
        found = columns.ends_on_grid(scores, *ends)
        assert np.abs(found - scores).max() <= spacing / 2 and (np.diff(found) >= 0).all()
        for end, own in zip(found[[0, -1]], ends):
            assert not own or end / spacing == pytest.approx(round(end / spacing), abs=1e-9)
    assert (columns.ends_on_grid(scores, False, False) == scores).all()


def test_integers_stay_integers_inside_their_range() -> None:
    values = np.random.default_rng(2).poisson(30, 4000).astype(float)
    column = _table(values, integer=True)
    assert (column.table == np.rint(column.table)).all()
    assert column.table.min() >= values.min() and column.table.max() <= values.max()


def test_lattice_of_a_quantised_sensor_is_found_through_float32() -> None:
    generator = np.random.default_rng(3)
    values = (np.rint(generator.normal(20, 3, 3000) / 0.05) * 0.05).astype(np.float32).astype(float)
    step = columns.lattice_step(values)
    assert step == pytest.approx(0.05, rel=1e-4)
    turns = (_table(values, step=step).table - values.min()) / step
    assert np.abs(turns - np.rint(turns)).max() < 1e-2


def test_continuous_values_have_no_lattice() -> None:
    assert columns.lattice_step(np.random.default_rng(4).normal(size=3000)) == 0.0
    assert columns.lattice_step(np.array([1.0, 2.0])) == 0.0


def test_nothing_is_emitted_outside_the_schema() -> None:
    column = columns.limit_table(_table(np.random.default_rng(5).normal(size=2000)), (-1.0, 1.5))
    assert column.low == -1.0 and column.high == 1.5
    assert column.table.min() == -1.0 and column.table.max() == 1.5


def test_encoding_goes_on_beyond_the_range_and_keeps_nan() -> None:
    column = _table(np.random.default_rng(6).normal(size=2000))
    scores = column.encode(np.array([-50.0, 0.0, 50.0, np.nan]))
    assert scores[0] < -10 and scores[2] > 10 and np.isnan(scores[3])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-1e4, 1e4, width=32), min_size=30, max_size=200),
    st.integers(0, 3),
)
def test_the_inverse_rises_and_stays_near_the_range(values: list[float], digits: int) -> None:
    rounded = np.round(np.array(values, float), digits)
    if rounded.min() == rounded.max():
        return
    column = _table(rounded)
    assert (np.diff(column.table) >= -1e-9 * max(1, np.abs(rounded).max())).all()
    margin = columns.RANGE_MARGIN * (rounded.max() - rounded.min()) + 1e-9
    assert column.table.min() >= rounded.min() - margin
    assert column.table.max() <= rounded.max() + margin


def test_the_size_of_the_grid_stands_in_one_place() -> None:
    core = Path(columns.__file__).parent
    for path in sorted(set(core.glob("*.py")) - {core / "columns.py"}):
        found = [
            node.lineno
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant) and node.value == columns.GRID_SIZE
        ]
        assert not found, (path.name, found)


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "size"), [(5.0, 2001), (3.0, 61)])
def test_the_generators_values_step_onto_the_latent_grid(
    monkeypatch: pytest.MonkeyPatch, limit: float, size: int
) -> None:
    from components.synthesizer_trainer.core import network

    monkeypatch.setattr(network, "GRID_LIMIT", limit)
    monkeypatch.setattr(network, "GRID_SIZE", size)
    monkeypatch.setattr(network, "CELLS_PER_UNIT", (size - 1) / (2 * limit))
    grid = np.linspace(-limit, limit, size, dtype=np.float32)
    width = grid[1] - grid[0]
    # A second feature's scores are the first's plus 100.
    middles = np.stack([grid, grid + 100])
    z = np.random.default_rng(0).uniform(-limit, limit, (4, 50, 2)).astype(np.float32)
    found = network.on_atoms(z, middles).numpy() - [0, 100]
    assert np.abs(found - z).max() < 0.51 * width
    ends = network.on_atoms(np.array([[-9, 9]], np.float32), middles).numpy()
    assert ends.tolist() == [[-limit, 100 + limit]]
