"""Executor of SketchGen."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from components import executor_base
from components.drift.core import outward
from components.drift.core.merged_reading import merged_profile
from components.drift.core.outward_form import plan_sha256
from components.drift.public import outward_plan
from components.drift_monitor.spans import sources_of
from components.egress.sketch import to_bytes
from components.errors import InternalError
from components.governance.config import LedgerAccess
from components.governance.core.events import SKETCH_WORK
from components.governance.core.spending import reserved, write_cost
from components.sketch_gen.config import SketchGenConfig
from components.tfx_shim import BaseExecutor
from components.version import __version__

EXAMPLES_KEY = "examples"
SKETCH_KEY = "sketch"
SKETCH_FILE = "sketch.json"


class Executor(BaseExecutor):
    """Writes `sketch.json` and, where it has noise, `privacy_cost.json`; exact counts are never written."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Counts the rows and makes what may be told of them.

        What the noise costs is reserved before it is drawn. A run that is killed in between resumes its
        reservation, since nobody saw what was drawn; once a sketch was published, the next one of the same
        rows pays for itself.

        Args:
          input_dict: `examples`: Examples, all splits.
          output_dict: `sketch`: SpanSketch.
          exec_properties: `config`: SketchGenConfig; `locale`, `span`; `ledger`: LedgerAccess of a locale
            with a budget, else empty.

        Raises:
          ConfigError: no public plan can be made.
          DataError: the rows cannot be read, or make too many periods.
          PrivacyBudgetExceededError: the locale's budget does not allow it.
        """
        config = executor_base.read_config(exec_properties, SketchGenConfig)
        examples = executor_base.single_artifact(input_dict, EXAMPLES_KEY)
        output = executor_base.single_artifact(output_dict, SKETCH_KEY)
        rules = config.sketch.rules()
        assert rules is not None  # the configuration's own rule
        text = exec_properties.get("ledger")
        access = LedgerAccess.from_exec_property(text) if text and rules.noise else None
        if rules.noise and (access is None or access.governance.budget_unit is None):
            raise InternalError("sketch: noise is paid for from a budget, and no ledger is connected")
        plan = outward_plan(config.dataset)
        # Before anything is reserved: rows that cannot be read are not paid for.
        profile = merged_profile(sources_of(examples.uri, config.dataset), config.dataset, plan)
        data = examples.get_string_custom_property("data_digest")
        named = f"{config.digest()} {plan_sha256(plan)} {__version__} {data}"
        work = f"{SKETCH_WORK}{hashlib.sha256(named.encode()).hexdigest()[:16]}"
        folder = Path(output.uri)
        with reserved(access, work, int(exec_properties["span"]), outward.cost(rules)) as cost:
            content = to_bytes(outward.sketch_of(profile, rules))
            if rules.noise:
                write_cost(folder, cost)
            # Last: a folder without it is no sketch.
            executor_base.write_atomically(folder / SKETCH_FILE, content)
        executor_base.copy_lineage(examples, output)
