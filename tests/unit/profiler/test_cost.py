"""The estimate of a training's cost: its fit, its parts, and the memory of a measured training."""

from __future__ import annotations

import dataclasses

import pytest

from components.dataset import DatasetConfig, FeatureConfig
from components.profiler.core.cost import CPU, LIMITS, Size, adversarial_s, estimate, fit_coefficients
from components.synthesizer_trainer.config import SynthesizerTrainerConfig

DATASET = DatasetConfig(features=(FeatureConfig(name="x"),), targets=("x",), interval_s=60.0)


def size(rows=8_000, numeric=10, discrete=4, longest=4_000, **config):
    return Size.of(SynthesizerTrainerConfig(dataset=DATASET, **config), rows, numeric, discrete, longest)


def test_the_steps_that_are_expected():
    # It may end after three looks, forty steps apart, and must end after 240.
    assert size().steps == (120 + 240) // 2
    assert size(max_steps=80).steps == 80 and size(max_steps=0).steps == size(numeric=0).steps == 0


def test_coefficients_that_made_the_costs_are_found_again():
    sizes = [
        size(rows, numeric, max_steps=steps)
        for rows, numeric, steps in (
            (2_000, 4, 240),
            (8_000, 25, 0),
            (60_000, 8, 400),
            (9_000, 40, 80),
            (4_000, 12, 240),
        )
    ]
    known = {"one": 7.0, "trains": 3.0, "products": 0.5, "passes": 9.0}
    costs = [sum(known[name] * own.terms()[name] for name in known) for own in sizes]
    found = fit_coefficients(sizes, costs, tuple(known))
    assert found == pytest.approx(known)


def test_no_coefficient_is_negative():
    sizes = [size(rows) for rows in (1_000, 10_000, 100_000)]
    assert min(fit_coefficients(sizes, [30.0, 20.0, 10.0], ("one", "cells")).values()) >= 0


def test_the_residual_is_a_part_of_the_whole():
    assert adversarial_s(size(max_steps=0)) == 0
    assert 0 < adversarial_s(size()) < estimate(size()).cpu_s
    more = dataclasses.replace(size(), steps=2 * size().steps)
    assert estimate(more).cpu_s > estimate(size()).cpu_s and set(CPU) <= set(size().terms())


def test_no_factor_is_claimed_beyond_what_was_measured():
    assert estimate(size()).measured and estimate(size(LIMITS["rows"])).measured
    for beyond in (size(LIMITS["rows"] + 1), size(numeric=LIMITS["numeric"] + 1), size(longest=10**6)):
        assert not estimate(beyond).measured


@pytest.mark.slow
def test_a_training_is_measured_in_the_terms_of_the_estimate():
    # Processor seconds depend on the machine and on who else uses it, so that no test compares them with
    # the estimate: `python -m benchmarks.synthesizer.fit_cost` does, and exits with 1 beyond a factor of two.
    from benchmarks.synthesizer.fit_cost import measure, size_of

    found, expected = measure("short-steps"), estimate(size_of("short-steps"))
    assert found["cpu_s"] > 0 and expected.measured
    assert 0.5 < found["peak_mb"] / expected.peak_mb < 2
