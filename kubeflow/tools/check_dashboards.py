"""Reads dashboards with Grafana's own models and says what these do not know.

`python check_dashboards.py FILE…`, in the environment of grafana.txt. Exit status 1 where a key or a value
does not survive being read and written again.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard


def lost(given: Any, back: Any, place: str) -> Iterator[str]:
    """Places where what was read is not what was given. Empty values are left out by the models."""
    if isinstance(given, dict) and isinstance(back, dict):
        for key, value in given.items():
            if key in back:
                yield from lost(value, back[key], f"{place}.{key}")
            elif value not in (None, [], {}, "", False):
                yield f"{place}.{key}: not known to Grafana"
    elif isinstance(given, list) and isinstance(back, list) and len(given) == len(back):
        for row, (one, other) in enumerate(zip(given, back)):
            yield from lost(one, other, f"{place}[{row}]")
    elif given != back:
        yield f"{place}: {given!r} became {back!r}"


def main(files: list[str]) -> int:
    """Prints what is lost of each file; 1 where anything is."""
    plugins.register_default_plugins()
    said = []
    for file in files:
        given = json.loads(Path(file).read_text(encoding="utf-8"))
        back = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(given)))
        said += list(lost(given, back, file))
    print("\n".join(said) or f"{len(files)} dashboards: nothing is lost")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
