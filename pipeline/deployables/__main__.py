"""`python -m pipeline.deployables kubeflow/fleet.yaml`: renders overlays and the exchange's policies."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from components.errors import ConfigError, IsthmusError
from components.executor_base import write_atomically
from pipeline.deployables.dev_store import render_dev_store
from pipeline.deployables.exchange_gcs import render_gcs
from pipeline.deployables.exchange_s3 import render_s3
from pipeline.deployables.fleet import Fleet, load_fleet
from pipeline.deployables.overlays import MARK, render_overlays


def render(fleet: Fleet) -> dict[str, str]:
    """Every file that follows from a fleet: path below `kubeflow/` to content.

    Raises:
      ConfigError: the bucket's policy would be too large.
    """
    return {
        **render_overlays(fleet),
        **render_s3(fleet),
        **render_gcs(fleet),
        **render_dev_store(fleet),
    }


def leftovers(folder: Path, files: dict[str, str]) -> list[str]:
    """Rendered files that no longer follow from the fleet, as of a region that left it."""
    policies = [*folder.glob("exchange/s3-*.json"), *folder.glob("exchange/gcs-*.json")]
    marked = [x for x in folder.glob("overlays/**/*.yaml") if x.read_text(encoding="utf-8").startswith(MARK)]
    present = {str(x.relative_to(folder)) for x in [*policies, *marked]}
    return sorted(present - set(files))


def write(folder: Path, files: dict[str, str]) -> list[str]:
    """Writes what is missing or differs; what the engineer has taken over stays.

    Returns:
      The paths that were written.
    """
    written = []
    for name, content in sorted(files.items()):
        path = folder / name
        present = path.read_text(encoding="utf-8") if path.exists() else None
        if present == content or (present is not None and _is_own(name, present)):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
        written.append(name)
    return written


def outdated(folder: Path, files: dict[str, str]) -> list[str]:
    """Paths whose content is not what the fleet renders to."""
    found = []
    for name, content in sorted(files.items()):
        path = folder / name
        present = path.read_text(encoding="utf-8") if path.exists() else ""
        if present != content and not _is_own(name, present):
            found.append(name)
    return found


def _is_own(name: str, content: str) -> bool:
    """A compiled pipeline, or a kustomization that the engineer has taken over."""
    mine = name.endswith("/pipeline.yaml") or not content.startswith(MARK)
    return bool(content) and mine and name.endswith(("/kustomization.yaml", "/pipeline.yaml"))


def main(arguments: list[str] | None = None) -> int:
    """Renders, or checks; 0 when done, 1 where something is outdated, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.deployables", description=__doc__)
    parser.add_argument("fleet", type=Path, help="kubeflow/fleet.yaml")
    parser.add_argument("--out", type=Path, help="folder to render into; the fleet file's own by default")
    parser.add_argument("--check", action="store_true", help="write nothing; say what is outdated")
    given = parser.parse_args(arguments)
    folder = given.out or given.fleet.parent
    try:
        files = render(load_fleet(given.fleet))
        stale = leftovers(folder, files)
        if given.check:
            found = [*outdated(folder, files), *stale]
            print(f"outdated: {', '.join(found)}" if found else f"{len(files)} files are up to date")
            return 1 if found else 0
        written = write(folder, files)
        if stale:
            raise ConfigError(
                f"{folder / stale[0]}: found, but no region of {given.fleet} has it; delete its folder"
                + (f" (and {len(stale) - 1} more)" if len(stale) > 1 else "")
            )
    except IsthmusError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    print(f"{len(written)} of {len(files)} files written below {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
