"""Peak memory of this process. Imports nothing but the standard library: peers' environments use it too."""

from __future__ import annotations

import resource


def peak_mb() -> float:
    """Largest resident set of this process so far, in MB; Linux counts in kibibytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
