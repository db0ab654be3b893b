"""The lists of what may leave a restricted locale. What is on none of them does not leave.

Two kinds of names are known for every file: those that leave, and those that are known and stay. A name
that is on neither list was added by someone who did not think of the border, and is refused.
"""

from __future__ import annotations

from typing import Final

#: File kinds of a release, and what each may hold. The manifest's own fields are in
#: `components.release.manifest`, which refuses unknown ones.
RELEASE_FILES: Final = {
    "Split-train/*.gz": "synthetic rows: the data set's columns, series under made-up names, public or "
    "well-supported categories",
    "schema.pbtxt": "names, types and shape of the columns; domains of the curated schema, or none",
    "statistics/FeatureStats.pb": "statistics of the released rows, checked against those rows",
    "monitor.json": "distances between the locale's rows and earlier or synthetic ones, thresholds, "
    "verdicts, causes to the hour, rounded counts; no bin, no course over time",
    "sketch.json": "counts of real rows on public bins, small ones hidden and the others rounded or with "
    "noise, where the locale's policy asks for it (egress.sketch)",
    "evaluation.json": "the listed numbers of the evaluation and the verdicts of the gate",
    "manifest.json": "what the release is, digests, versions, privacy statement, verdicts, signature",
}

# --- evaluation.json --------------------------------------------------------------------------------

#: Fields of one metric. No free text that is made at run time (`reason`), no lists of values.
METRIC_FIELDS: Final = frozenset(
    {"name", "group", "status", "value", "direction", "range", "interval", "control", "n", "description"}
    # the parts of a risk: success rates of attacks and numbers of records
    | {"attack", "naive", "stand_in", "n_attack", "n_control"}
)
METRIC_STAYS: Final = frozenset(
    {"reason", "n_effective", "n_required", "worst", "thresholds", "verdict", "sentence"}
)
INTERVAL_FIELDS: Final = frozenset({"low", "high", "confidence", "method"})
#: Fields of one check of the gate.
CHECK_FIELDS: Final = frozenset(
    {"metric", "name", "passed", "value", "threshold", "rule", "direction", "status", "control"}
)
CHECK_STAYS: Final = frozenset({"reason", "outcome", "required"})
EVALUATION_FIELDS: Final = frozenset({"metrics", "gate", "verdict"})
EVALUATION_STAYS: Final = frozenset({"n_train", "n_holdout", "n_synthetic", "seconds"})
GATE_FIELDS: Final = frozenset({"verdict", "checks"})
GATE_STAYS: Final = frozenset({"reasons"})

# --- statistics/FeatureStats.pb -----------------------------------------------------------------------

#: `Message.field` of tensorflow_metadata's statistics that may leave, all of synthetic rows. Free text,
#: custom statistics, weighted ones and cross features are not among them.
STATISTICS_FIELDS: Final = frozenset(
    {
        "DatasetFeatureStatisticsList.datasets",
        *(f"DatasetFeatureStatistics.{name}" for name in ("name", "num_examples", "features")),
        *(
            f"FeatureNameStatistics.{name}"
            for name in ("name", "path", "type", "num_stats", "string_stats", "bytes_stats")
        ),
        "Path.step",
        *(
            f"CommonStatistics.{name}"
            for name in (
                "num_non_missing",
                "num_missing",
                "min_num_values",
                "max_num_values",
                "avg_num_values",
                "tot_num_values",
                "num_values_histogram",
            )
        ),
        *(
            f"NumericStatistics.{name}"
            for name in ("common_stats", "mean", "std_dev", "num_zeros", "min", "median", "max", "histograms")
        ),
        *(
            f"StringStatistics.{name}"
            for name in ("common_stats", "unique", "top_values", "avg_length", "rank_histogram")
        ),
        *(
            f"BytesStatistics.{name}"
            for name in ("common_stats", "unique", "avg_num_bytes", "min_num_bytes", "max_num_bytes")
        ),
        *(f"FreqAndValue.{name}" for name in ("value", "frequency")),
        *(f"Histogram.{name}" for name in ("num_nan", "num_undefined", "buckets", "type")),
        *(f"Bucket.{name}" for name in ("low_value", "high_value", "sample_count")),
        "RankHistogram.buckets",
        *(f"Bucket.{name}" for name in ("low_rank", "high_rank", "label", "sample_count")),
    }
)

# --- monitor.json --------------------------------------------------------------------------------------

#: Fields of `components.drift.findings` that may leave. Bins, courses over time and the evidence of a cause
#: are not among them.
MONITOR_FIELDS: Final = frozenset(
    {"version", "zone", "sharing", "span", "alpha", "correction", "status", "reason", "findings"}
)
FINDING_FIELDS: Final = frozenset(
    {"comparison", "locale", "against", "baseline", "feature", "split", "span"}
    | {"measurements", "verdict", "severity", "cause", "reason"}
)
FINDING_STAYS: Final = frozenset({"distribution", "time_line", "basis"})
MEASUREMENT_FIELDS: Final = frozenset(
    {"measure", "value", "unit", "threshold", "rule", "n", "n_baseline", "bins", "p_value", "q_value"}
    | {"null", "verdict", "reason"}
)
NULL_FIELDS: Final = frozenset({"mean", "limit", "draws", "blocks", "block_s"})
CAUSE_FIELDS: Final = frozenset({"name", "words", "begin", "end"})
CAUSE_STAYS: Final = frozenset({"evidence"})

# --- sketch.json ----------------------------------------------------------------------------------------

#: Fields of `components.drift.core.outward_form` that may leave; no extreme, sum or cadence is among them.
SKETCH_FIELDS: Final = frozenset(
    {
        "format",
        "version",
        "plan_sha256",
        "minimum",
        "top_categories",
        "mechanism",
        "noise_std",
        "epsilon",
        "delta",
        "unit_rows",
    }
    | {"period_s", "periods", "begin_s", "features", "bins", "missing", "labels"}
)

# --- what the runner's own records hold of a restricted locale ----------------------------------------

#: A pipeline's section of `run.json`.
SECTION_FIELDS: Final = frozenset(
    {
        "status",
        "sharing",
        "error",
        "error_kind",
        "refusal",
        "exit_status",
        "log",
        "seconds",
        "components",
        "running",
        "egress",
        "governance",
    }
)
#: What a section's `refusal` says of a run that came to no monitor (`pipeline.refusals`).
REFUSAL_FIELDS: Final = frozenset({"cause", "feature", "span", "severity", "alpha", "correction"})
#: What a section's `governance` says: of the ledger its numbers, of the audit log who decided what and when.
GOVERNANCE_FIELDS: Final = frozenset({"budget", "approval"})
BUDGET_FIELDS: Final = frozenset(
    {"state", "epsilon", "delta", "unit", "neighboring_relation", "spent", "counted", "left"}
    | {"releases", "reserved", "refused"}
)
APPROVAL_FIELDS: Final = frozenset({"state", "required", "decisions"})
DECISION_FIELDS: Final = frozenset({"who", "at", "decision"})
#: One component of a section; `outputs` are addresses below the pipeline's own root.
COMPONENT_FIELDS: Final = frozenset({"id", "component", "state", "seconds", "outputs"})
#: `run.json` itself.
RUN_FIELDS: Final = frozenset(
    {
        "run_id",
        "name",
        "config",
        "config_digest",
        "seed",
        "started_at",
        "finished_at",
        "exit_status",
        "exit_reason",
        "stage",
        "versions",
        "locales",
        "central",
        "border",
        "words",
    }
)
#: Packages whose versions `run.json` names.
VERSIONS: Final = frozenset(
    {
        "isthmus",
        "python",
        "tfx",
        "tensorflow",
        "tensorflow-data-validation",
        "tensorflow-transform",
        "apache-beam",
        "prophet",
        "scikit-learn",
        "pyarrow",
        "numpy",
    }
)
#: What a worker may say of its progress while it runs.
PROGRESS_STAGES: Final = frozenset({"training", "forecasting", "fitting", "sampling", "evaluating"})
#: `push.json`, as `isthmus status` and `lineage` show it.
PUSH_FIELDS: Final = frozenset(
    {
        "locale",
        "span",
        "kind",
        "pushed",
        "outcome",
        "reason",
        "uri",
        "release_id",
        "content_digest",
        "key_id",
        "rows",
        "rows_per_split",
        "bytes",
        "files",
    }
)
#: The centre's own `push.json`.
MODEL_PUSH_FIELDS: Final = frozenset({"name", "version", "verdict", "releases", "evaluation"})

#: In words, for `isthmus egress`: what the run's own records and the report hold of a restricted locale.
RECORDS: Final = {
    "run.json, status": "component names, states, seconds, addresses below the locale's root, exit status",
    "run.json, report": "of the privacy budget epsilon, delta, unit, what is spent and left, and counts; of "
    "an approval who decided, when, and what; no note that a person wrote",
    "errors": "our own fixed sentences, names from the deployment file, counts and row numbers; any other "
    "word or number is withheld and stands in the locale's own log",
    "report.html, report.json": "counts of rows, of missing and imputed values and of outliers, metrics and "
    "verdicts of the gate, distances of drift, "
    "training losses, whether rare kinds of anomaly were merged, the privacy statement that the release's "
    "manifest holds; curves of real rows only where real_curves "
    "says so",
    "exchange": "releases, as listed above",
}
#: What never leaves, in words.
STAYS: Final = (
    "real rows, quarantined rows, holdout rows",
    "statistics, vocabularies, histograms, quantiles, minima and maxima of real rows, but for a sketch",
    "schema domains that were inferred from rows, drift and skew comparators",
    "the synthesizer (SavedModel, checkpoints, vocabulary files) and its training data",
    "plots and curves of the evaluation, reasons of metrics and checks",
    "logs, tracebacks, the metadata store, schema anomalies in TFDV's words",
    "names of source files, of columns that the data set does not name, and of real series",
    "keys and other secrets",
)
