"""Which statistics are asked for, from the configuration and public domains alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from components.synthesizer_trainer.core.dp.domains import Domains
from components.synthesizer_trainer.core.dp.mechanism import Query, Stage

#: Cells of a histogram of step sizes: unchanged, then |step| in scores by powers of two.
STEP_CELLS = 12
#: Upper edge of the first cell of changed values; each next one is twice as wide.
STEP_FIRST = 2.0**-9
#: Lattice of normal scores and of their products and of a product of two of those.
SCORE_LATTICE = 2.0**-10
#: Clipping norms, as multiples of the root of the expected squared norm. Of a chi-square law with some
#: ten degrees of freedom one in 150 is above 2.5 times its mean.
ROW_CLIP = math.sqrt(2.5)
#: Clipping norm of an anomalous row's deviation, per root feature, in units of a feature's scale.
EVENT_CLIP = 3.0
#: Budget shares of the stages.
STAGE_SHARES = {"marginals": 0.40, "calendar": 0.25, "dynamics": 0.35}


@dataclass(frozen=True)
class Layout:
    """Positions and sizes that follow from the configuration.

    Attributes:
      numeric: Feature indices of latent series (continuous and integer).
      discrete: Feature indices of binary and categorical features.
      levels: Values of each discrete feature, in the order of `discrete`.
      cycles_s: Periods of the cycles.
      harmonics: Sine-cosine pairs of each.
      kinds: Number of public anomaly kinds.
      indicators: (place in `discrete`, code) of each regressor of the recurrence.
      features: All features.
    """

    numeric: tuple[int, ...]
    discrete: tuple[int, ...]
    levels: tuple[int, ...]
    cycles_s: tuple[float, ...]
    harmonics: tuple[int, ...]
    kinds: int
    indicators: tuple[tuple[int, int], ...]
    features: int


def layout(config: SynthesizerTrainerConfig, domains: Domains) -> Layout:
    """The layout of a configuration."""
    assert config.dp is not None  # the configuration's own rule
    features = config.dataset.features
    discrete = tuple(i for i, f in enumerate(features) if f.kind in ("binary", "categorical"))
    levels = tuple(
        2 if features[i].kind == "binary" else len(domains.vocabularies[features[i].name]) for i in discrete
    )
    limit = config.dataset.interval_s
    harmonics = tuple(
        max(min(config.dp.harmonics, math.ceil(cycle / limit / 2) - 1), 1) for cycle in config.dp.cycles_s
    )
    return Layout(
        numeric=tuple(i for i, f in enumerate(features) if f.kind in ("continuous", "integer")),
        discrete=discrete,
        levels=levels,
        cycles_s=config.dp.cycles_s,
        harmonics=harmonics,
        kinds=len(domains.kinds),
        indicators=tuple((v, code) for v, size in enumerate(levels) for code in range(1, min(size, 9))),
        features=len(features),
    )


def dynamics_width(found: Layout, var_order: int) -> int:
    """Regressors and targets: y, earlier steps, indicators, 1, step."""
    return (var_order + 1) * len(found.numeric) + len(found.indicators) + 1


def dynamics_clip(found: Layout, var_order: int) -> float:
    """Clipping norm of a row of the moments; scores and scaled steps have about unit variance."""
    expected = (var_order + 1) * len(found.numeric) + len(found.discrete) + 1
    return ROW_CLIP * math.sqrt(expected)


def score_clip(found: Layout) -> float:
    """Clipping norm of a row of normal scores."""
    return ROW_CLIP * math.sqrt(max(len(found.numeric), 1))


def event_clip(found: Layout) -> float:
    """Clipping norm of an anomalous row's deviations."""
    return EVENT_CLIP * math.sqrt(max(len(found.numeric), 1))


def stages(config: SynthesizerTrainerConfig, domains: Domains) -> tuple[Stage, ...]:
    """The statistics of a release: shapes, norms and shares of the budget.

    Every bound below is on one row (order 0) or one run of rows; `mechanism.sensitivity` multiplies it by
    how many of those one unit of privacy touches.

    * `rows`: one row is of one kind: 1.
    * `histograms`: one row is in one cell per level and numeric feature: sqrt(F (L + 1)).
    * `pairs`, `phases`: one pair is one transition per feature: 1.
    * `nulls`: one pair is one transition per feature: sqrt(all features).
    * `holds`: one run of three rows is one transition per numeric feature: sqrt(F).
    * `entries`: one pair begins at most one event: 1.
    * `calendar_gram`: d d' with |d|^2 = 1 + sum of harmonics (sine and cosine pairs): |d|^2.
    * `calendar_cross`: d z' with z clipped to R: |d| R.
    * `steps`: one pair is in one cell per feature: sqrt(F).
    * `deviations`: a row of clipped deviations: the clipping norm.
    * `moments`: u u' with u clipped to R: R^2.
    """
    assert config.dp is not None  # the configuration's own rule
    dp, found = config.dp, layout(config, domains)
    numeric, kinds = len(found.numeric), found.kinds
    weights: dict[str, float] = {"rows": 0.06, "nulls": 0.08}
    shapes: dict[str, tuple[tuple[int, ...], int, float]] = {
        "rows": ((kinds + 1,), 0, 1.0),
        "nulls": ((found.features, 2, 2), 1, math.sqrt(found.features)),
    }
    if kinds:
        weights["entries"] = 0.14
        shapes["entries"] = ((kinds,), 1, 1.0)
    if numeric:
        cells = 2 ** (dp.histogram_levels + 1) - 1
        weights |= {"histograms": 0.40, "holds": 0.07}
        shapes["histograms"] = ((numeric, cells), 0, math.sqrt(numeric * (dp.histogram_levels + 1)))
        shapes["holds"] = ((numeric, 2, 2), 2, math.sqrt(numeric))
    for place, size in enumerate(found.levels):
        weights |= {f"pairs_{place}": 0.08 / len(found.levels), f"phases_{place}": 0.17 / len(found.levels)}
        shapes[f"pairs_{place}"] = ((size, size), 1, 1.0)
        shapes[f"phases_{place}"] = ((dp.phase_bins, size, size), 1, 1.0)
    out = [Stage("marginals", STAGE_SHARES["marginals"], _queries(weights, shapes))]
    if numeric:
        out += [_calendar_stage(found), _dynamics_stage(found, dp.var_order)]
    total = sum(stage.share for stage in out)
    return tuple(Stage(s.name, s.share / total, s.queries) for s in out)


def _queries(
    weights: dict[str, float], shapes: dict[str, tuple[tuple[int, ...], int, float]]
) -> tuple[Query, ...]:
    total = sum(weights.values())
    return tuple(Query(name, *shapes[name], share=weights[name] / total) for name in shapes)


def _calendar_stage(found: Layout) -> Stage:
    numeric, width = len(found.numeric), 1 + 2 * sum(found.harmonics)
    square = 1.0 + sum(found.harmonics)
    fine = SCORE_LATTICE**2
    kinds = found.kinds
    share = 0.4 if kinds else 0.6
    queries = [
        Query("calendar_gram", (width, width), 0, square, 0.15, fine, symmetric=True),
        Query("calendar_cross", (width, numeric), 0, math.sqrt(square) * score_clip(found), share, fine),
        Query("steps", (kinds + 1, numeric, STEP_CELLS), 1, math.sqrt(numeric), 0.25),
    ]
    if kinds:
        queries.append(Query("deviations", (kinds, numeric), 0, event_clip(found), 0.20, SCORE_LATTICE))
    return Stage("calendar", STAGE_SHARES["calendar"], tuple(queries))


def _dynamics_stage(found: Layout, var_order: int) -> Stage:
    width = dynamics_width(found, var_order)
    bound = dynamics_clip(found, var_order) ** 2
    query = Query("moments", (width, width), var_order, bound, 1.0, SCORE_LATTICE**2, symmetric=True)
    return Stage("dynamics", STAGE_SHARES["dynamics"], (query,))
