"""Names in a compiled spec: slugs, unique over all its nested DAGs.

Back ends up to 2.13 look nested tasks up by name over the whole run, so a name that two DAGs use would give
one region its neighbour's outputs.
"""

from __future__ import annotations

import hashlib

from pipeline.config.model import slug

#: What a Kubernetes label's value may have, and an Argo node's name without being cut.
MAX_LENGTH = 63
#: A task's name is a variable in the condition that Argo makes of what it depends on: these are words of its
#: language (expr-lang), and a variable begins with no digit.
_WORDS = frozenset(
    ("in", "or", "and", "not", "let", "if", "else", "nil", "true", "false", "matches", "contains")
)
#: What the back end calls the task that comes before each task of its own.
_DRIVER = "-driver"


class Names:
    """Gives out names; the same names in the same order give the same result."""

    def __init__(self, reserved: tuple[str, ...] = ()) -> None:
        """Args: reserved: names that nobody else gets."""
        self._taken = set(reserved)

    def take(self, *parts: str) -> str:
        """A free name made of parts; one that is taken, too long or Argo's ends in a digest of its parts."""
        plain = "-".join(slug(part) for part in parts)
        if plain[:1].isdigit():
            plain = f"n-{plain}"
        name = plain
        if len(name) > MAX_LENGTH or name in self._taken or name in _WORDS or name.endswith(_DRIVER):
            digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]
            name = f"{plain[: MAX_LENGTH - 9].rstrip('-')}-{digest}"
        if name in self._taken:
            raise ValueError(f"the name {name} is taken twice")  # eight digits of SHA-256 met
        self._taken.add(name)
        return name
