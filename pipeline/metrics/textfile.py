"""Files for node_exporter's textfile collector: one per zone, each replaced as a whole."""

from __future__ import annotations

import hashlib
from pathlib import Path

from components.executor_base import write_atomically
from pipeline.config.model import slug
from pipeline.metrics.render import render
from pipeline.metrics.samples import Group


def file_name(group: Group) -> str:
    """`isthmus_DEPLOYMENT_ZONE.prom`, of letters, digits and hyphens.

    A digest tells two names apart that have the same form; `run` stands for the run as a whole.
    """
    digest = hashlib.sha256(f"{group.deployment}\n{group.zone}".encode()).hexdigest()[:8]
    return f"isthmus_{slug(group.deployment)}_{slug(group.zone) or 'run'}_{digest}.prom"


def write_textfiles(folder: Path, groups: list[Group]) -> list[Path]:
    """Writes the file of each group; the collector sees the old one or the new one, never half of one.

    Raises:
      OSError: the folder is not there or cannot be written. It is not made: the collector would not read it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(2, "No such folder", str(folder))
    files = [folder / file_name(group) for group in groups]
    for file, group in zip(files, groups):
        write_atomically(file, render([group]))
    return files
