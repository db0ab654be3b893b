"""The attacks of the gate. A new one is a module with an `Attack`, a line here and its metrics in the
catalogue; a test holds the two together."""

from __future__ import annotations

from components.release_evaluator.core.attacks import (
    attribute,
    closeness,
    control,
    linkability,
    membership,
    rare_values,
    replay,
    singling_out,
)
from components.release_evaluator.core.attacks.base import Attack

#: In the order of the report.
ATTACKS: tuple[Attack, ...] = (
    replay.COPIES,
    replay.REPLAY,
    replay.SHAPES,
    replay.RARE,
    closeness.ATTACK,
    membership.ATTACK,
    attribute.ATTACK,
    singling_out.ONE,
    singling_out.MANY,
    linkability.WITHIN,
    linkability.BETWEEN,
    rare_values.VALUES,
    rare_values.CATEGORIES,
    control.ATTACK,
)
