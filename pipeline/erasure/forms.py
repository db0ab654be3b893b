"""The forms in which a subject may stand in a locale's artifacts, and where rows of those forms are."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from components import split_io
from components.example_gen.config import PiiRule
from components.example_gen.core.pii import apply_rule
from components.example_gen.core.quarantine import ROWS_FILE
from pipeline.config.model import Deployment
from pipeline.config.resolve_regional import regional_configs

KEYED = "pseudonymise"


def stored_forms(deployment: Deployment, locale: str, column: str, subject: str) -> tuple[list[str], str]:
    """What the subject may be stored as, and how it came to that form.

    Raises:
      ConfigError: the pseudonym's key cannot be read.
    """
    rules: tuple[PiiRule, ...] = regional_configs(deployment, locale).example_gen.pii
    rule = next((rule for rule in rules if rule.column == column), None)
    if rule is None or rule.action is None:
        return [subject], "as it is"
    keys: list[bytes | None] = [key.read() for key in (rule.key, rule.old_key) if key is not None]
    values = pa.array([subject])
    forms = [str(apply_rule(rule, values, key).to_pylist()[0]) for key in keys or [None]]
    shared = " (with all others of the same form)" if rule.action == "generalise" else ""
    return forms, rule.action + shared


def rows_per_split(
    folder: Path, column: str, forms: list[str], prefixes: set[str]
) -> tuple[dict[str, int], int]:
    """Rows of the subject per split; rows whose pseudonyms begin with none of the prefixes.

    Raises:
      DataError: the Examples cannot be read.
    """
    found, foreign = {}, 0
    for split in split_io.list_splits(folder):
        count = 0
        for batch in split_io.read_batches(folder, split, columns=[column]):
            values = batch.column(0).cast(pa.string())
            count += int(pc.sum(pc.is_in(values, pa.array(forms))).as_py() or 0)
            for prefix in prefixes:
                # What is left after the last one is of none of the keys.
                values = values.filter(pc.invert(pc.starts_with(values, pattern=f"{prefix}-")))
            foreign += len(values.drop_null()) if prefixes else 0
        found[split] = count
    return found, foreign


def rows_set_aside(quarantine: Path, column: str, forms: list[str]) -> int:
    """Rows of the subject in a quarantine's file of rows; a row that does not split counts if it names it."""
    file = quarantine / ROWS_FILE
    if not file.exists():
        return 0
    with file.open(newline="", encoding="utf-8", errors="replace") as stream:
        return sum(
            row.get(column) in forms or any(form in (row.get("text") or "") for form in forms)
            for row in csv.DictReader(stream)
        )
