"""What transitions are shrunk to where few rows have both a state and an age: two steps, each pooled.

A pulse is over after so many rows, whichever of its states it is in. P(after | age, before) does not know
that while it is shrunk to P(after | before): a state that often ends pulses would end one in its second row.
So the parent is made of whether the chain leaves its group of states (in the pulse, out of it), and for which
state of a group. Either is what the age says times what the state before says, over what neither knows
(naive Bayes).
"""

from __future__ import annotations

import numpy as np

#: Weights of what is pooled, in rows: in whether an age leaves the group, in where a state goes to, in where
#: an age goes to.
LEAVING_PRIOR_ROWS = 0.5
STATE_PRIOR_ROWS = 5.0
AGE_PRIOR_ROWS = 20.0
#: Of all states' shares in a group's, in rows.
SHARE_ROWS = 0.01


def grouped_parent(
    counts: np.ndarray, total: np.ndarray, parent: np.ndarray, groups: np.ndarray
) -> np.ndarray:
    """Shrinkage target of P(after | age, before).

    Args:
      counts: Transitions at each age. Shape [ages, states, states].
      total: Transitions, those of unknown age among them. Shape [states, states].
      parent: P(after | before). Shape [states, states].
      groups: Group of every state, from 0. Shape [states], int.

    Returns:
      Shape of `counts`. An age that no row of a group has takes after the one before it.
    """
    member = np.eye(int(groups.max()) + 1)[groups]

    def by_group(table: np.ndarray) -> np.ndarray:
        """Of each state, what its group has in all. Shape of `table`."""
        return np.asarray((table @ member)[..., groups])

    # Whether a group is left. [groups, groups], [states, groups], [ages, groups, groups].
    left = member.T @ total @ member
    usual = (left + LEAVING_PRIOR_ROWS / len(left)) / (left.sum(1, keepdims=True) + LEAVING_PRIOR_ROWS)
    aged = np.einsum("sg,ast,th->agh", member, counts, member)
    seen = aged.sum(2) > 0
    aged = (aged + LEAVING_PRIOR_ROWS * usual) / (aged.sum(2, keepdims=True) + LEAVING_PRIOR_ROWS)
    leaving = _carried(aged, seen)[:, groups] * (parent @ member / usual[groups])
    leaving /= leaving.sum(-1, keepdims=True)

    # Where to in the group. [groups, states], [states, states], [ages, groups, states].
    share = total.sum(0) + 0.5 / len(total)
    pooled = member.T @ total + SHARE_ROWS * share / share.sum()
    pooled = pooled / by_group(pooled)
    stated = (total + STATE_PRIOR_ROWS * pooled[groups]) / (by_group(total) + STATE_PRIOR_ROWS)
    aged = np.einsum("sg,ast->agt", member, counts)
    aged = (aged + AGE_PRIOR_ROWS * pooled) / (by_group(aged) + AGE_PRIOR_ROWS)
    entered = stated * _carried(aged / pooled, seen)[:, groups]
    out = leaving[..., groups] * entered / by_group(entered)
    return np.asarray(out / out.sum(-1, keepdims=True))


def _carried(table: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """A table [ages, groups, n] of which unseen ages have the last seen one's rows."""
    ages = np.arange(len(table))[:, None]
    last = np.maximum.accumulate(np.where(seen, ages, 0), axis=0)
    return np.asarray(np.take_along_axis(table, last[..., None], axis=0))
