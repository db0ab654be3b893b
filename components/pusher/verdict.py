"""Reads a blessing so that every doubt is a no."""

from __future__ import annotations

import json
from pathlib import Path

from components.blessing import VERDICT_FILE, VERDICTS


def read_verdict(blessing: Path | None) -> tuple[str, str]:
    """The verdict of a blessing artifact and the reason for it.

    No artifact, no marker file, two of them, or a `verdict.json` that says otherwise: NOT_EVALUATED.

    Args:
      blessing: Folder with `BLESSED`, `NOT_BLESSED` or `NOT_EVALUATED`, and `verdict.json`.
    """
    if blessing is None:
        return "NOT_EVALUATED", "there is no blessing"
    markers = [name for name in VERDICTS if (blessing / name).exists()]
    if len(markers) != 1:
        return "NOT_EVALUATED", f"the blessing holds {len(markers)} verdicts, expected exactly 1"
    path = blessing / VERDICT_FILE
    if path.exists():
        try:
            stated = json.loads(path.read_text())["verdict"]
        except (ValueError, KeyError, TypeError, OSError):
            return "NOT_EVALUATED", "verdict.json does not parse"
        if stated != markers[0]:
            return "NOT_EVALUATED", f"the blessing is {markers[0]}, but verdict.json says otherwise"
    return markers[0], f"the verdict is {markers[0]}"
