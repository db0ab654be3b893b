"""Folder and file names of splits. Used through `components.split_io`."""

from __future__ import annotations

import os
import re
from pathlib import Path

from components.errors import DataError

_SPLIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def split_path(root: str | os.PathLike[str], split: str) -> Path:
    """Folder of a split, whether it exists or not.

    Raises:
      DataError: the name cannot be a folder name.
    """
    if not _SPLIT_NAME.fullmatch(split):
        raise DataError(f"split name '{split}' is not allowed. Use letters, digits, '.', '_' and '-'.")
    return Path(root) / f"Split-{split}"


def list_splits(root: str | os.PathLike[str]) -> list[str]:
    """Names of the splits under an Examples artifact, sorted."""
    folders = Path(root).glob("Split-*")
    return sorted(folder.name[len("Split-") :] for folder in folders if folder.is_dir())


def shard_name(number: int, shards: int) -> str:
    """File name of one of so many shards, as TFX names it."""
    return f"data_tfrecord-{number:05d}-of-{shards:05d}.gz"
