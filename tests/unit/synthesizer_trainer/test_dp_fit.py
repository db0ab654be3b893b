"""The DP core is made of noisy statistics alone, and without noise it finds what was put in."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Mapping
from types import ModuleType

import numpy as np
import pyarrow as pa
import pytest

from components.errors import InsufficientDataError
from components.synthesizer_trainer.core.columns import decode
from components.synthesizer_trainer.core.dp import discrete, event_fit, fit, marginals, moments
from components.synthesizer_trainer.core.dp.mechanism import Noisy
from components.synthesizer_trainer.core.dp.queries import layout
from components.synthesizer_trainer.core.dp.rows import read_rows
from components.synthesizer_trainer.core.dp.train import fit_core, measure, train_dp_synthesizer
from components.synthesizer_trainer.core.tables import tables
from tests.unit.synthesizer_trainer.dp_data import (
    DATASET,
    DOMAINS,
    STEP_US,
    dp_config,
    make_rows,
    trainer_config,
)

POST_PROCESSING = (fit, marginals, discrete, event_fit, moments)


def quiet(count: int) -> np.ndarray:
    return np.zeros(count)


@pytest.mark.parametrize("module", POST_PROCESSING, ids=lambda m: m.__name__.rsplit(".", 1)[-1])
def test_post_processing_takes_no_rows(module: ModuleType) -> None:
    # Neither a table nor rows can reach these modules: they take none, and import nothing that reads any.
    for name, function in inspect.getmembers(module, inspect.isfunction):
        text = str(inspect.signature(function))
        assert "Table" not in text.replace("ColumnTable", "").replace("EventTable", ""), name
        assert "Rows" not in text and "Panel" not in text, name
    imported = {name for name in vars(module) if not name.startswith("__")}
    assert not imported & {"pa", "pd", "read_rows", "Rows", "statistics", "split_io", "table"}


def test_the_same_statistics_give_the_same_core() -> None:
    config = trainer_config()
    released, first, cycles = measure(make_rows(1500), config, DOMAINS)
    cores = []
    for _ in range(2):
        copied = {name: Noisy(noisy.value.copy(), noisy.std) for name, noisy in released.items()}
        assert config.dp is not None
        again = fit.fit_marginals(copied, layout(config, DOMAINS), DOMAINS, DATASET, config.dp)
        cores.append(tables(fit_core(copied, again, cycles, config, DOMAINS)[0]))
    expected = tables(fit_core(released, first, cycles, config, DOMAINS)[0])
    for core in cores:
        for name, value in expected.items():
            assert np.array_equal(core[name], value), name


def test_two_releases_of_the_same_rows_differ() -> None:
    config, rows = trainer_config(), make_rows(300)
    first, second = (measure(rows, config, DOMAINS)[0] for _ in range(2))
    assert all(not np.array_equal(first[name].value, second[name].value) for name in first)


def test_without_noise_the_fit_finds_what_was_put_in() -> None:
    # An epsilon so large that no threshold hides anything, and no noise at all.
    config = trainer_config(epsilon=20.0, histogram_levels=10)
    rows = make_rows(6000)
    released, first, cycles = measure(rows, config, DOMAINS, quiet)
    core, _, withheld = fit_core(released, first, cycles, config, DOMAINS)
    assert withheld.features == [] and withheld.kinds == []
    normal = rows.kind == 0
    # Marginals: quantiles through the table and back.
    share = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    for index in range(2):
        wanted = np.quantile(rows.values[normal, index], share)
        z = core.tables[index].encode(wanted)
        assert decode(core.tables[index].table[None], z[:, None])[:, 0] == pytest.approx(wanted, abs=0.5)
    # The daily sine of amplitude 3 on a spread of about 2.2, in scores.
    spread = rows.values[normal, 0].std()
    assert core.styles[0, 0, 2] == pytest.approx(3 / spread, abs=0.15)
    # The wander's autocorrelation, and its innovation of 0.3.
    assert core.dynamics.lags[0][0, 0] == pytest.approx(0.9, abs=0.05)
    # Counts are independent of one another: nothing is remembered.
    assert abs(core.dynamics.lags[0][1, 1]) < 0.1
    innovation = core.dynamics.warp[0, 0, -1] / 4
    assert innovation == pytest.approx(0.3 / spread, rel=0.2)
    # A mode that the hour decides.
    mode = core.chains[1]
    assert mode.covariates == (0,)
    assert mode.frequency == pytest.approx([0.5, 0.0, 0.5], abs=0.1)
    # Of the kinds, one shifts the first feature by 8, the other holds it.
    kinds = core.events.kind
    assert core.events.course[kinds == 1, 0, 0] == pytest.approx(8 / core.tables[0].scale, rel=0.2)
    assert (core.events.hold[kinds == 2, 0] == [0.0, 1.0]).all()
    assert (core.events.hold[kinds == 1, 0] == [1.0, 0.0]).all()
    assert core.events.duration == pytest.approx(30, abs=2)
    assert core.latent.shape == (0, 2)


def test_a_kind_that_the_noise_hides_is_withheld_and_named() -> None:
    config = trainer_config(epsilon=1.0)
    rows = make_rows(1500)
    few = rows.kind.copy()
    few[np.flatnonzero(few == 2)[3:]] = 0
    rows = dataclasses.replace(rows, kind=few)
    released, first, cycles = measure(rows, config, DOMAINS, quiet)
    core, _, withheld = fit_core(released, first, cycles, config, DOMAINS)
    assert withheld.kinds == ["stuck"]
    assert set(core.events.kind) == {1} and len(core.event_rows) == 1


def test_a_feature_without_values_is_withheld_and_named() -> None:
    config = trainer_config()
    rows = make_rows(1500)
    values = rows.values.copy()
    values[:, 1], values[:, 3] = np.nan, np.nan
    released, first, cycles = measure(dataclasses.replace(rows, values=values), config, DOMAINS, quiet)
    core, _, withheld = fit_core(released, first, cycles, config, DOMAINS)
    assert withheld.features == ["count", "mode"]
    assert core.numeric == (0,) and core.empty == (1, 3)
    assert np.isfinite(tables(core)["lag_rows"]).all()


def test_nulls_are_learned_and_do_not_shrink_the_memory() -> None:
    config = trainer_config(epsilon=20.0)
    rows = make_rows(6000)
    values = rows.values.copy()
    values[np.random.default_rng(1).random(len(values)) < 0.1, 0] = np.nan
    released, first, cycles = measure(dataclasses.replace(rows, values=values), config, DOMAINS, quiet)
    core, _, withheld = fit_core(released, first, cycles, config, DOMAINS)
    assert "temp" not in withheld.nulls and "count" in withheld.nulls
    null = next(c for v, c in zip(core.variables, core.chains) if v.role == "null")
    assert null.frequency[1] == pytest.approx(0.1, abs=0.02)
    assert core.dynamics.lags[0][0, 0] == pytest.approx(0.9, abs=0.06)


@pytest.mark.parametrize("std", [0.0, 30.0])
def test_histograms_of_any_noise_give_counts_that_add_up(std: float) -> None:
    leaves = np.zeros(64)
    leaves[20:24] = [100, 400, 300, 200]
    tree = [leaves]
    while len(tree[0]) > 1:
        tree.insert(0, tree[0].reshape(-1, 2).sum(1))
    exact = np.concatenate(tree)
    noisy = exact + std * np.random.default_rng(0).normal(size=len(exact))
    out = marginals.consistent_leaves(noisy, max(std, 1e-9))
    assert (out >= 0).all() and out.sum() == pytest.approx(1000, abs=3 * std + 1e-6)
    if not std:
        assert out == pytest.approx(leaves)
    else:
        # What noise puts in empty cells is less than a tree of 64 cells would hold at one sd each.
        assert out[20:24].sum() > 900 and np.abs(np.cumsum(out - leaves)).max() < 4 * std


def test_balanced_counts_enter_as_often_as_they_leave() -> None:
    counts = np.random.default_rng(0).normal(50, 20, (4, 4))
    out = discrete.balanced(counts)
    assert out.sum(0) == pytest.approx(out.sum(1))
    assert discrete.balanced(out) == pytest.approx(out)


def test_transitions_are_probabilities_whatever_the_noise() -> None:
    generator = np.random.default_rng(0)
    for scale in (1.0, 50.0, 1e4):
        pooled = Noisy(generator.normal(20, scale, (3, 3)), scale)
        phases = Noisy(generator.normal(2, scale, (12, 3, 3)), scale)
        table, share = discrete.transition_table(pooled, phases, 3.0)
        assert (table >= 0).all() and table.sum(2) == pytest.approx(1.0)
        assert share.sum() == pytest.approx(1.0)
        # What does not stand is never entered.
        assert (table[:, :, share == 0] == 0).all()


def test_a_recurrence_of_pure_noise_is_stable() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        matrix = generator.normal(0, 100, (8, 8))
        solved, covariance = moments.regress(matrix + matrix.T, np.arange(5), np.arange(5, 8), 100.0)
        assert np.isfinite(solved).all() and np.linalg.eigvalsh(covariance).min() > 0


def _table(count: int = 400) -> pa.Table:
    rows = make_rows(count)
    kinds = np.array(["", *DOMAINS.kinds])
    return pa.table(
        {
            "timestamp": rows.time_us,
            "asset": ["secret"] * count,
            "temp": rows.values[:, 0].astype(np.float32),
            "count": rows.values[:, 1].astype(np.int64),
            "on": rows.values[:, 2].astype(np.int64),
            "mode": [DOMAINS.vocabularies["mode"][int(v)] for v in rows.values[:, 3]],
            "label": (rows.kind > 0).astype(np.int64),
            "kind": kinds[rows.kind],
        }
    )


def test_rows_are_read_by_public_domains_alone() -> None:
    table = _table(60)
    columns: Mapping[str, object] = {
        "temp": pa.array([1e9, -5.0, np.nan, None, np.inf, 20.0], pa.float32()),
        "count": [99, -1, 3, 4, 5, 6],
        "on": [0, 1, 2, 7, 1, 0],
        "mode": ["sun", "never seen", None, "safe", "sun", "eclipse"],
        "kind": ["", "shift", "unheard of", "", "stuck", ""],
        "label": [0, 1, 1, 0, 1, None],
    }
    table = table.slice(0, 6)
    for name, values in columns.items():
        column = values if isinstance(values, pa.Array) else pa.array(values)
        table = table.set_column(table.column_names.index(name), name, column)
    rows = read_rows(table, DATASET, DOMAINS, dp_config(), "x")
    nan = np.nan
    expected = [
        [40, 15, 0, 2], [0, 0, 1, nan], [nan, 3, nan, nan], [nan, 4, nan, 1], [nan, 5, 1, 2], [20, 6, 0, 0]
    ]  # fmt: skip
    assert np.array_equal(rows.values, np.array(expected, float), equal_nan=True)
    assert rows.kind.tolist() == [0, 1, -1, 0, 2, 0]


def test_a_period_and_a_series_bound_are_enforced() -> None:
    table = _table(60)
    period = {"start": "1970-01-01T00:10:00Z", "end": "1970-01-01T00:20:00Z"}
    rows = read_rows(table, DATASET, DOMAINS, dp_config(period=period), "x")
    assert rows.time_us.tolist() == [n * STEP_US for n in range(10, 20)]
    shuffled = table.take(np.random.default_rng(0).permutation(60))
    rows = read_rows(shuffled, DATASET, DOMAINS, dp_config(unit="series", max_rows_per_series=7), "x")
    assert rows.time_us.tolist() == [n * STEP_US for n in range(7)]


def test_too_few_rows_are_refused_by_their_noisy_count() -> None:
    config = trainer_config()
    with pytest.raises(InsufficientDataError, match=r"x: the noisy count .* is below 50 \(min_train_rows\)"):
        train_dp_synthesizer(_table(400).slice(0, 0), config, DOMAINS, 0, "x", quiet)


def test_the_report_holds_nothing_of_the_rows() -> None:
    config = trainer_config(epsilon=8.0)
    trained = train_dp_synthesizer(_table(1500), config, DOMAINS, 0, "x")
    report = trained.report
    text = json.dumps(report)
    assert "secret" not in text
    assert set(report) == {
        "method", "privacy", "noisy_rows", "kinds", "withheld", "rare_events", "columns",
        "core_parameters", "network_parameters",
    }  # fmt: skip
    assert report["rare_events"] == {"outcome": "dp"}
    block = report["privacy"]
    assert (block["epsilon"], block["unit"], block["delta"]) == (8.0, "record", 1e-5)
    assert block["epsilon_by_unit"]["record"] == pytest.approx(8.0, abs=0.01)
    assert block["epsilon_by_unit"]["window"] > 8
    assert trained.module.metadata is not None
    metadata = json.loads(trained.module.metadata.numpy().decode())
    assert metadata["differential_privacy"] is True and metadata["stop_s"] == 0.0
    assert metadata["calendar"]["start_s"] == 0.0 and metadata["calendar"]["trend_s"] == []
    # The exact number of rows is in no variable of the model.
    for name, value in trained.module.store.items():
        assert not np.isin(value.numpy(), [1500.0]).any(), name
