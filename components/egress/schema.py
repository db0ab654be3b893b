"""What of the schema may leave: types and shapes; domains only where they were public before any row."""

from __future__ import annotations

from collections.abc import Collection

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.dataset import DatasetConfig
from components.egress.rows import check_columns
from components.errors import DataError

#: Types and shapes follow from the configuration; presence is inferred from rows unless curated.
_ALWAYS = ("shape", "value_count")
_CURATED = ("presence", "int_domain", "float_domain", "string_domain", "bool_domain")


def parse_schema(text: str, place: str) -> schema_pb2.Schema:
    """Parses `schema.pbtxt`.

    Raises:
      DataError: it is no Schema.
    """
    try:
        return text_format.Parse(text, schema_pb2.Schema())
    except text_format.ParseError:  # its message quotes the line, which may hold a value
        raise DataError(f"{place}: not a schema in text form; make it again with SchemaGen.") from None


def released_schema(
    schema: schema_pb2.Schema,
    public: schema_pb2.Schema | None = None,
    dataset: DatasetConfig | None = None,
    place: str = "schema.pbtxt",
) -> str:
    """`schema.pbtxt` of synthetic rows: names, types and shape of the features.

    Domains (vocabularies, minima, maxima), distribution constraints and comparators may be inferred from
    real rows, so none is taken from the locale's schema. Those of the curated schema are public.

    Args:
      schema: The locale's.
      public: The curated schema, as the program ships it; None withholds every domain.
      dataset: Its columns alone may leave; domains of its series stay (made-up names fit none). None: the
        columns are not judged.
      place: For messages.

    Raises:
      InternalError: the schema has a column that the data set does not name.
    """
    if dataset is not None:
        check_columns([feature.name for feature in schema.feature], dataset, f"{place}: schema.pbtxt")
    withheld = dataset.series if dataset is not None else ()
    curated = {feature.name: feature for feature in public.feature} if public else {}
    domains = {domain.name: domain for domain in public.string_domain} if public else {}
    kept = schema_pb2.Schema()
    for feature in schema.feature:
        copy = kept.feature.add(name=feature.name, type=feature.type)
        _copy(feature, copy, _ALWAYS)
        if feature.name in curated and feature.name not in withheld:
            known = curated[feature.name]
            _copy(known, copy, _CURATED)
            if known.HasField("domain") and known.domain in domains:
                copy.string_domain.CopyFrom(domains[known.domain])
    return str(text_format.MessageToString(kept))


def public_values(public: schema_pb2.Schema | None) -> dict[str, frozenset[str]]:
    """The vocabularies that a curated schema publishes, by feature."""
    if public is None:
        return {}
    domains = {domain.name: frozenset(domain.value) for domain in public.string_domain}
    found = {}
    for feature in public.feature:
        if feature.HasField("domain") and feature.domain in domains:
            found[feature.name] = domains[feature.domain]
        elif feature.HasField("string_domain"):
            found[feature.name] = frozenset(feature.string_domain.value)
    return found


def _copy(source: schema_pb2.Feature, target: schema_pb2.Feature, fields: Collection[str]) -> None:
    for field in fields:
        if source.HasField(field):
            getattr(target, field).CopyFrom(getattr(source, field))
