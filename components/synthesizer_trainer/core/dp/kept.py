"""What a private training keeps between attempts: noisy statistics and what was made of them, nothing else.

A run that was killed takes the core's released statistics from here, never draws them a second time, and
goes on at the step that was last written. Steps after that are drawn anew, batch and noise: what they drew
the first time went into nothing that was kept, shown or logged, so it is no part of what anybody sees, and
the finished model still stands on as many steps as were planned and paid for.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from components.executor_base import write_atomically
from components.synthesizer_trainer.core.dp.mechanism import Noisy

FILE = "private_training.npz"


class Kept:
    """A folder with one file; or, without a folder, nothing.

    Args:
      folder: Belongs to one work (data, settings, seed); None keeps nothing.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.path = None if folder is None else folder / FILE
        self.released: dict[str, Noisy] = {}
        self.state: dict[str, np.ndarray] = {}
        if self.path is not None and self.path.exists():
            self._read(self.path)

    def _read(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as found:
            for name in found.files:
                part, own = name.split("/", 1)
                if part == "value":
                    self.released[own] = Noisy(found[name], float(found[f"std/{own}"]))
                elif part == "state":
                    self.state[own] = found[name]

    def write(self, released: Mapping[str, Noisy], state: Mapping[str, np.ndarray]) -> None:
        """Replaces what is kept."""
        self.released, self.state = dict(released), dict(state)
        if self.path is None:
            return
        arrays = {f"state/{name}": value for name, value in state.items()}
        for name, noisy in released.items():
            arrays |= {f"value/{name}": noisy.value, f"std/{name}": np.array(noisy.std)}
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, buffer.getvalue())
