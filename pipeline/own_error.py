"""The reason under what TFX and Beam raise."""

from __future__ import annotations

from components.errors import IsthmusError


def own_error(error: BaseException | None) -> IsthmusError | None:
    """An error of ours among the causes of another; None where there is none.

    TFX and Beam wrap what an executor raised; the reason is somewhere down the chain.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, IsthmusError):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None
