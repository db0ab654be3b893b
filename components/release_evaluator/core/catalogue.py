"""Every metric that an evaluation reports, and what it means."""

from __future__ import annotations

from components.release_evaluator.core.metrics import MetricSpec

_SHARE = (0.0, 1.0)


def _fidelity(direction: str, limits: tuple[float | None, float | None], description: str) -> MetricSpec:
    return MetricSpec("fidelity", direction, limits, description)  # type: ignore[arg-type]


def _utility(direction: str, limits: tuple[float | None, float | None], description: str) -> MetricSpec:
    return MetricSpec("utility", direction, limits, description)  # type: ignore[arg-type]


def _privacy(limits: tuple[float | None, float | None], description: str) -> MetricSpec:
    return MetricSpec("privacy", "lower", limits, description)


#: By name, in the order of the report.
METRICS: dict[str, MetricSpec] = {
    "marginal_fidelity": _fidelity(
        "higher", _SHARE, "Mean over features of 1 - KS distance (numeric) or 1 - total variation (others)."
    ),
    "worst_column_fidelity": _fidelity("higher", _SHARE, "The least of the features' marginal scores."),
    "missing_rate_error": _fidelity(
        "lower", _SHARE, "Greatest difference between the shares of missing values of a feature."
    ),
    "pairwise_fidelity": _fidelity(
        "higher", _SHARE, "Mean similarity of the correlation or contingency table over pairs of features."
    ),
    "acf_error": _fidelity(
        "lower", (0.0, 2.0), "Mean absolute difference of the autocorrelations over features and lags."
    ),
    "step_change_fidelity": _fidelity(
        "higher", _SHARE, "Mean over features of 1 - KS distance of the changes from row to row."
    ),
    "daily_profile_error": _fidelity(
        "lower", (0.0, None), "Mean absolute difference of the daily profiles, in real standard deviations."
    ),
    "spread_ratio": _fidelity(
        "higher", (0.0, None), "Root mean square distance between synthetic rows over that between real ones."
    ),
    "window_diversity": _fidelity(
        "higher",
        (0.0, None),
        "Median distance of a synthetic window to the nearest other one, over the same among equally many "
        "real ones; near 0 when a few windows are repeated.",
    ),
    "tstr_mae": _utility("lower", (0.0, None), "Error of the next-step forecast, trained on synthetic rows."),
    "trtr_mae": _utility("lower", (0.0, None), "Error of the next-step forecast, trained on real rows."),
    "utility_ratio": _utility("lower", (0.0, None), "tstr_mae over trtr_mae; 1 = as good as the real rows."),
    "tstr_label_average_precision": _utility(
        "higher", _SHARE, "Average precision of finding labelled rows, trained on synthetic rows."
    ),
    "trtr_label_average_precision": _utility(
        "higher", _SHARE, "Average precision of finding labelled rows, trained on real rows."
    ),
    "label_average_precision_gap": _utility(
        "higher", (-1.0, 1.0), "TSTR - TRTR of the average precision of the label."
    ),
    "tstr_label_f1": _utility("higher", _SHARE, "F1 of finding labelled rows, trained on synthetic rows."),
    "trtr_label_f1": _utility("higher", _SHARE, "F1 of finding labelled rows, trained on real rows."),
    "label_f1_gap": _utility("higher", (-1.0, 1.0), "TSTR - TRTR of the F1 of the label."),
}
_RISK = (-1.0, 1.0)
for _unit, _what in (("rows", "rows"), ("windows", "windows of consecutive rows")):
    METRICS |= {
        f"exact_copy_risk_{_unit}": _privacy(
            _RISK, f"Synthetic {_what} equal to a distinctive one of train, beyond those equal to holdout's."
        ),
        f"near_copy_risk_{_unit}": _privacy(
            _RISK,
            f"Synthetic {_what} much nearer to one of train than independent ones lie, beyond those near "
            "holdout.",
        ),
        f"replay_risk_{_unit}": _privacy(
            _RISK,
            f"Train's {_what} met by a synthetic one much nearer than by any other real one, beyond"
            " holdout's.",
        ),
        f"dcr_share_{_unit}": _privacy(
            _SHARE,
            f"Share of synthetic {_what} nearer to train than to holdout, sizes balanced, ties half; "
            "0.5 = no trace.",
        ),
        f"dcr_ratio_{_unit}": _privacy(
            (0.0, None),
            f"5th percentile of the distance of synthetic {_what} to equally many of train, over "
            "that to holdout; the better attack has less. Reported, direction: 1 = no trace.",
        ),
        f"nndr_{_unit}": _privacy(
            _SHARE,
            f"5th percentile of nearest over second nearest distance of synthetic {_what} that are "
            "nearest to train; beside it those nearest to holdout.",
        ),
        f"membership_distance_risk_{_unit}": _privacy(
            _RISK, f"Telling train's {_what} from holdout's by the distance to the nearest synthetic one."
        ),
        f"membership_relative_risk_{_unit}": _privacy(
            _RISK,
            f"The same among distinctive {_what}, the distance divided by that to other real ones: the rare "
            "no longer hide behind the common.",
        ),
        f"membership_density_risk_{_unit}": _privacy(
            _RISK,
            f"Telling train's {_what} from holdout's by the synthetic over the real density around it.",
        ),
        f"membership_trained_risk_{_unit}": _privacy(
            _RISK, f"Telling train's {_what} from holdout's by a classifier on all of these, cross-fitted."
        ),
        f"holdout_exposure_{_unit}": _privacy(
            _RISK,
            f"Holdout's {_what} met by the release as only copies would be, beyond what a real sample meets: "
            "above 0, the release knows its own control.",
        ),
    }
METRICS |= {
    "shape_replay_risk": _privacy(
        _RISK, "Train windows whose shape comes again at another level or scale, beyond holdout's."
    ),
    "rare_window_replay_risk": _privacy(
        _RISK, "Train's labelled windows that the release replays, beyond holdout's."
    ),
    "attribute_inference_risk": _privacy(
        _RISK, "Guessing a column of a row from all others, where the naive guess fails, beyond holdout."
    ),
    "attribute_inference_worst_risk": _privacy(
        _RISK, "The same for the column that is worst off, at a level that allows for the choice."
    ),
    "singling_out_univariate_risk": _privacy(
        _RISK, "Single values of the release that point at one row of train, beyond those at holdout."
    ),
    "singling_out_multivariate_risk": _privacy(
        _RISK, "Conjunctions made from one synthetic row that point at one row of train, beyond holdout."
    ),
    "linkability_risk": _privacy(
        _RISK, "Two halves of a train row's columns that lead to the same synthetic row, beyond holdout's."
    ),
    "release_linkability_risk": _privacy(
        _RISK, "Halves of a train row that lead to the same record in this release and the one before."
    ),
    "rare_value_risk": _privacy(
        _RISK, "Numbers that few time blocks of train hold, found in the release, beyond holdout's."
    ),
    "rare_category_exposure": _privacy(
        (0.0, None), "Categories that few time blocks of train hold and the release holds as well."
    ),
}
# less distance means more leak in these two
for _name in ("dcr_ratio_rows", "dcr_ratio_windows", "nndr_rows", "nndr_windows"):
    METRICS[_name] = MetricSpec("privacy", "higher", METRICS[_name].range, METRICS[_name].description)
