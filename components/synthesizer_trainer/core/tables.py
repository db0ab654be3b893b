"""The fitted core as the flat arrays that the SavedModel holds."""

from __future__ import annotations

import numpy as np

from components.synthesizer_trainer.core.chains import chain_of
from components.synthesizer_trainer.core.columns import snap_cells
from components.synthesizer_trainer.core.linear_core import LinearCore
from components.synthesizer_trainer.core.transitions import DWELL_EDGES


def tables(core: LinearCore) -> dict[str, np.ndarray]:
    """All constants, as float32 and int32."""
    dynamics, features = core.dynamics, len(core.numeric)
    table = core.table
    # A padding column keeps every cell's row of flags as long as the table's.
    snap = np.zeros(table.shape, bool)
    if features:
        snap[:, :-1] = snap_cells(table)
    out: dict[str, np.ndarray] = {
        "lag_rows": np.concatenate([*dynamics.lags, *dynamics.memory], axis=1).T
        if features
        else np.zeros((0, 0)),
        "now": dynamics.now.T,
        "before": dynamics.before.T,
        "constant": dynamics.constant,
        "centre": dynamics.centre,
        "factor": dynamics.factor,
        "warp": dynamics.warp,
        "decay": dynamics.decay,
        "level_edges": core.level_edges,
        "table": table,
        "margin": core.margin,
        "correlation": core.correlation,
        "autocorrelation": core.autocorrelation,
        "styles": core.styles,
        "offsets": core.offsets,
        "profile": core.profile,
        "shift": dynamics.shift.ravel(),
        "spread": dynamics.spread.ravel(),
        "target_quantiles": core.targets.quantiles,
        "target_means": core.targets.means,
        "target_products": core.targets.products,
    }
    for name in ("scale", "step", "origin", "low", "high"):
        out[name] = np.array([getattr(t, name) for t in core.tables])
    out = {name: np.asarray(value, np.float32) for name, value in out.items()}
    out["snap"] = snap
    cells = int(np.prod(dynamics.shift.shape[1:]))
    out["local_rows"] = np.arange(features, dtype=np.int32) * cells
    out["local_phases"] = np.array(dynamics.shift.shape[2], np.int32)
    out["dwell_edges"] = DWELL_EDGES.astype(np.int32)
    stretched = _stretched(core)
    out.update(_chain_tables(core, stretched))
    out.update(_flicker_tables(core, len(out["state_codes"])))
    events = core.events
    for name in ("course", "wave", "noise", "hour", "hold"):
        out[f"event_{name}"] = np.asarray(getattr(events, name), np.float32)
    for name in ("kind", "duration", "incident", "forced"):
        out[f"event_{name}"] = np.asarray(getattr(events, name), np.int32)
    # A kind's second number is for the rows after its cause, when nothing is overridden.
    overridden = np.pad(~np.isnan(events.as_if), ((0, len(events.as_if) - 1), (0, 0)))
    as_if = np.zeros(overridden.shape, np.float32)
    as_if[: len(events.as_if)] = np.nan_to_num(events.as_if - dynamics.centre)
    # And an event's stretch, where it has one, a number of its own.
    out["event_cause"] = np.zeros(len(events.kind), np.int32)
    out["event_cause"][stretched] = len(overridden) + np.arange(len(stretched))
    out["event_stretch"] = events.stretch.astype(np.float32)
    own = np.concatenate([np.arange(len(overridden)), events.kind[stretched]]).astype(int)
    out["overridden"], out["as_if"] = overridden[own].astype(np.float32), as_if[own]
    out["event_until"] = events.until.astype(np.float32)
    out["event_rows"] = core.event_rows.astype(np.float32)
    return out


def _flicker_tables(core: LinearCore, states: int) -> dict[str, np.ndarray]:
    """What flickering numbers show: cumulative by state of all chains, and shares by event, padded alike."""
    count, widest = len(core.flickers), max([len(one.band) for one in core.flickers], default=0)
    table = np.ones((count, states, widest), np.float32)
    shares = np.zeros((count, len(core.events.kind), widest), np.float32)
    begins = np.cumsum([0, *(len(chain.states) for chain in core.chains)])
    for place, one in enumerate(core.flickers):
        index = chain_of(core.chains, one.variable)
        edges, levels = np.cumsum(one.states, axis=1), len(one.band)
        table[place, begins[index] : begins[index + 1], :levels] = edges / edges[:, -1:]
        shares[place, :, :levels] = one.events
    return {"flicker": table, "flicker_event": shares}


def _stretched(core: LinearCore) -> np.ndarray:
    """Events of which some chain has a block of its own. Shape [n], int."""
    blocks = [chain.event_block for chain in core.chains if len(chain.event_block)]
    return np.flatnonzero(np.any(blocks, axis=0)) if blocks else np.zeros(0, int)


def _chain_tables(core: LinearCore, stretched: np.ndarray) -> dict[str, np.ndarray]:
    """Chains padded to one width and laid one behind the other; `stretched` as `_stretched`."""
    chains = core.chains
    count, kinds = max(len(chains), 1), len(core.chains[0].block) if chains else 1
    widest = max([len(c.states) for c in chains], default=1)
    phases, features = len(core.calendar.periods_s), len(core.numeric)
    # The last column of the covariate vector is always 0: no covariate.
    nothing = phases + 2 * features + 3 * count
    out = {
        "covariates": np.full((count, 2), nothing, np.int32),
        "sizes": np.ones((count, 2), np.int32),
        "block": np.zeros((count, 2 * kinds - 1 + len(stretched)), np.int32),
        "width": np.ones(count, np.int32),
        "states": np.ones(count, np.int32),
        "last_state": np.zeros(count, np.int32),
        "offset": np.zeros(count, np.int32),
        "state_offset": np.zeros(count, np.int32),
        "frequency": np.ones((count, max(widest - 1, 1)), np.float32),
    }
    rows, offset, states = [], 0, 0
    state_codes = np.zeros((max(sum(len(c.states) for c in chains), 1), len(core.variables)), np.int32)
    indicator = np.zeros((max(sum(len(c.states) for c in chains), 1), len(core.indicators)), np.float32)
    hold = np.zeros((len(indicator), features), np.float32)
    resting = np.zeros(len(indicator), bool)
    for index, chain in enumerate(chains):
        size = len(chain.states)
        for place, (column, bins) in enumerate(zip(chain.covariates, chain.sizes)):
            out["covariates"][index, place] = column
            out["sizes"][index, place] = bins
        out["block"][index, :kinds] = chain.block
        if len(stretched):
            own = chain.event_block[stretched]
            out["block"][index, 2 * kinds - 1 :] = np.where(
                own > 0, own, chain.block[core.events.kind[stretched]]
            )
        out["width"][index] = chain.cumulative.shape[1]
        out["states"][index], out["last_state"][index] = size, size - 1
        out["offset"][index], out["state_offset"][index] = offset, states
        out["frequency"][index, : max(size - 1, 0)] = np.cumsum(chain.frequency)[: max(size - 1, 0)]
        flat = np.ones((chain.cumulative.size // size, max(widest - 1, 1)), np.float32)
        flat[:, : size - 1] = chain.cumulative.reshape(-1, size)[:, : size - 1]
        rows.append(flat)
        for place, variable in enumerate(chain.variables):
            codes = chain.states[:, place]
            state_codes[states : states + size, variable] = codes
            for column, (wanted, code) in enumerate(core.indicators):
                if wanted == variable:
                    indicator[states : states + size, column] = codes == code
            if core.variables[variable].role == "hold":
                feature = core.numeric.index(core.variables[variable].feature)
                hold[states : states + size, feature] = codes == 1
        resting[states : states + size] = chain.resting
        offset, states = offset + len(flat), states + size
    out["cumulative"] = np.concatenate(rows) if rows else np.ones((1, 1), np.float32)
    out["indicator"], out["hold"], out["state_codes"] = indicator, hold, state_codes
    out["resting"] = resting
    return out
