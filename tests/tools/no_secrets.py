"""Refuses files that hold a private key."""

import sys
from pathlib import Path

MARK = b"PRIVATE KEY" + b"-----"
found = [p for p in sys.argv[1:] if MARK in Path(p).read_bytes()]
for path in found:
    print(f"{path}: holds a private key; keep it outside the repository")
sys.exit(bool(found))
