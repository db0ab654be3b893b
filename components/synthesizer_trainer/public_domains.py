"""What is known of the columns before any row is seen: the configuration, and the curated schema.

Never the locale's own schema, which may be inferred from its rows.
"""

from __future__ import annotations

import math

from components.egress.schema import public_values
from components.errors import ConfigError
from components.schema_gen.curated import curated_schema
from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from components.synthesizer_trainer.core.dp.domains import Domains
from components.synthesizer_trainer.schema_bounds import schema_feature_bounds


def public_domains(config: SynthesizerTrainerConfig, prefix: str = "synthesizer.dp") -> Domains:
    """Bounds, vocabularies and kinds of a private method's configuration.

    Args:
      config: The configuration.
      prefix: Where its `dp` section stands, for messages.

    Raises:
      ConfigError: names the key of the first feature that has no public domain.
    """
    dp, dataset = config.dp, config.dataset
    assert dp is not None  # the configuration's own rule
    schema = curated_schema(dataset.schema_name) if dataset.schema_name else None
    known = schema_feature_bounds(schema) if schema else {}
    names = public_values(schema)
    where = (
        f"schemas/{dataset.schema_name}" if dataset.schema_name else "a curated schema (dataset.schema_name)"
    )
    bounds, steps, vocabularies = {}, dict(dp.steps), {}
    for feature in dataset.features:
        if feature.kind == "categorical":
            values = dp.vocabularies.get(feature.name) or tuple(sorted(names.get(feature.name, ())))
            if not values:
                raise ConfigError(
                    f"{prefix}.vocabularies.{feature.name}: found none, and {where} names none; "
                    "allowed: the values that are public, or drop the feature"
                )
            vocabularies[feature.name] = values
        elif feature.kind in ("continuous", "integer"):
            low, high = dp.bounds.get(feature.name) or known.get(feature.name, (-math.inf, math.inf))
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ConfigError(
                    f"{prefix}.bounds.{feature.name}: found none, and {where} has no domain with both ends; "
                    "allowed: [least, greatest] that are public, or drop the feature"
                )
            bounds[feature.name] = (low, high)
            if feature.kind == "integer":
                steps[feature.name] = 1.0
    kinds: tuple[str, ...] = ()
    if dataset.label:
        kinds = ("anomaly",)
    if dataset.label_kind:
        kinds = dp.kinds or tuple(sorted(names.get(dataset.label_kind, ())))
        if not kinds:
            raise ConfigError(
                f"{prefix}.kinds: found none, and {where} names none; allowed: the kinds that are public"
            )
    return Domains(bounds, steps, vocabularies, kinds)
