"""What a column holds, on columns made to hold it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from components.profiler.core.kinds import describe

RNG = np.random.default_rng(5)
ROWS = 400
WORDS = ("pump", "valve", "noise", "left", "right", "oil", "checked", "replaced", "again", "ok")
SENTENCES = [" ".join(RNG.choice(WORDS, 5)) for _ in range(ROWS)]
CLOCK = 1_700_000_000 + 300 * np.arange(ROWS)


@pytest.mark.parametrize(
    "kind, values",
    [
        ("empty", pa.nulls(ROWS, pa.float32())),
        ("constant", np.full(ROWS, 3.5)),
        ("flag", RNG.integers(0, 2, ROWS)),
        ("flag", RNG.choice(["on", "off"], ROWS)),
        ("category", RNG.choice(["a", "b", "c"], ROWS)),
        ("number", RNG.standard_normal(ROWS)),
        ("integer-valued", RNG.integers(0, 50, ROWS).astype(float)),
        ("integer-valued", np.cumsum(RNG.integers(1000, 90_000, ROWS))),
        ("identifier-like", RNG.permutation(np.arange(10_000_000, 10_000_000 + ROWS * 911, 911))),
        ("identifier-like", [f"SN{number:06d}" for number in RNG.permutation(ROWS)]),
        ("free text", SENTENCES),
        ("timestamp", CLOCK),
        ("timestamp", CLOCK * 1000),
        ("timestamp", [f"2024-03-{1 + n % 28:02d}T10:{n % 60:02d}:00Z" for n in range(ROWS)]),
    ],
)
def test_the_kind(kind, values):
    assert describe(pa.array(values) if not isinstance(values, pa.Array) else values).kind == kind


def test_a_few_words_again_and_again_are_categories_not_free_text():
    assert describe(pa.array([SENTENCES[n % 7] for n in range(ROWS)])).kind == "category"


def test_counts_of_values_and_of_what_is_missing():
    found = describe(pa.array(["a"] * 6 + ["b"] * 2 + ["c"] + [None]))
    assert (found.distinct, found.seen_once, found.rarest) == (3, 1, 1)
    assert found.missing == pytest.approx(0.1)
