"""Refuses files over 1 MiB (uv.lock aside): data does not belong in the repository."""

import sys
from pathlib import Path

LIMIT_BYTES = 1 << 20
large = [p for p in sys.argv[1:] if Path(p).name != "uv.lock" and Path(p).stat().st_size > LIMIT_BYTES]
for path in large:
    print(f"{path}: {Path(path).stat().st_size} bytes, allowed at most {LIMIT_BYTES}")
sys.exit(bool(large))
