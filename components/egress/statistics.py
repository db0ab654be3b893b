"""What of the statistics may leave: listed fields, and only of the rows that leave with them."""

from __future__ import annotations

import math
from typing import Any

from tensorflow_metadata.proto.v0 import statistics_pb2

from components.egress import lists
from components.egress.rows import RowsSummary
from components.errors import DataError, InternalError

#: Sums of float32 rows in another order; the statistics are kept as float64.
_TOLERANCE = 1e-5


def check_listed(message: Any, place: str) -> None:
    """Refuses a statistics message that holds a field which is on no list.

    Args:
      message: A protocol buffer message.
      place: For the error.

    Raises:
      InternalError: there is such a field; its name is told, its value is not.
    """
    for descriptor, value in message.ListFields():
        name = f"{descriptor.containing_type.name}.{descriptor.name}"
        if name not in lists.STATISTICS_FIELDS:
            raise InternalError(
                f"{place}: egress: the statistics hold the field '{name}', which is on no list of what may "
                "leave; nothing was released"
            )
        if descriptor.message_type is not None:
            for part in value if descriptor.label == descriptor.LABEL_REPEATED else (value,):
                check_listed(part, place)


def check_are_of(found: statistics_pb2.DatasetFeatureStatistics, rows: RowsSummary, place: str) -> None:
    """Refuses statistics that are not those of the released rows: counts, extremes, means, vocabularies.

    A count alone would let statistics of as many real rows pass.

    Raises:
      DataError: they are of other rows.
    """

    def refuse(feature: str, what: str) -> DataError:
        return DataError(
            f"{place}: the statistics of '{feature}' are not those of the released rows ({what} differs); "
            "only statistics of the released rows may leave. Connect those."
        )

    known = {*rows.numeric, *rows.values}
    for feature in found.features:
        name = feature.name or ".".join(feature.path.step)
        if feature.HasField("num_stats"):
            numbers = feature.num_stats
            if name not in rows.numeric:
                if numbers.common_stats.num_non_missing:
                    raise refuse(name if name in known else "a column", "the set of columns")
                continue
            of = rows.numeric[name]
            if numbers.common_stats.num_non_missing != of.count:
                raise refuse(name, "the number of values")
            if of.count and not (_close(numbers.min, of.low) and _close(numbers.max, of.high)):
                raise refuse(name, "the range")
            if of.count and not math.isclose(
                numbers.mean,
                of.total / of.count,
                rel_tol=_TOLERANCE,
                abs_tol=_TOLERANCE * max(abs(of.low), abs(of.high)),
            ):
                raise refuse(name, "the mean")
            for histogram in numbers.histograms:
                for bucket in histogram.buckets:
                    if not (_inside(bucket.low_value, of) and _inside(bucket.high_value, of)):
                        raise refuse(name, "a histogram's edge")
        elif feature.HasField("string_stats"):
            texts = rows.values.get(name, set())
            strings = feature.string_stats
            said = {item.value for item in strings.top_values}
            said |= {bucket.label for bucket in strings.rank_histogram.buckets}
            if not said <= texts:
                raise refuse(name if name in known else "a column", "the vocabulary")


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9)


def _inside(edge: float, of: Any) -> bool:
    slack = 1e-6 * max(abs(of.low), abs(of.high), 1e-9)
    return not of.count or math.isinf(edge) or of.low - slack <= edge <= of.high + slack
