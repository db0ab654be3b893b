"""The environment of a peer: a virtual environment of its own, made once from a pinned list."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EVIDENTLY_REQUIREMENTS = Path(__file__).with_name("evidently_requirements.txt")
#: The Python that the lists were resolved for.
PYTHON = "3.11"
#: Holds the digest of the list that the environment was made from.
_MADE_FROM = "made_from.txt"


def ready(environment: Path, requirements: Path) -> bool:
    """Whether an environment was made from this very list."""
    mark = environment / _MADE_FROM
    return mark.exists() and mark.read_text() == _digest(requirements)


def requirements_of(name: str) -> Path:
    """The list of an environment: every package with its version, none left to the installer to choose.

    There are no hashes in it: torch's build for processors has another than the one of its public index.
    """
    return Path(__file__).with_name(f"{name}_requirements.txt")


def environment_python(name: str) -> Path:
    """Python of an environment by its name (`sdv`, `arfpy`, `evidently`, ...); as `peer_python`."""
    return peer_python(name, ROOT / ".venvs" / name, requirements_of(name))


def evidently_python() -> Path:
    """Python of the Evidently environment; as `peer_python`."""
    return environment_python("evidently")


def peer_python(peer: str, environment: Path, requirements: Path) -> Path:
    """Python of a peer's environment; makes the environment where it is absent or of another list.

    Args:
      peer: Name of the peer, for messages.
      environment: Its folder.
      requirements: Names and versions.

    Raises:
      SystemExit: there is neither `python3.11` nor uv, or the packages cannot be installed.
    """
    python = environment / "bin" / "python"
    if ready(environment, requirements):
        return python
    print(f"making {environment.relative_to(ROOT)} for {peer} (once)", file=sys.stderr)
    listed = str(requirements)
    interpreter, uv = shutil.which(f"python{PYTHON}"), ROOT / ".tools" / "uv" / "bin" / "uv"
    if interpreter:
        commands = [
            [interpreter, "-m", "venv", str(environment)],
            [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "-r", listed],
        ]
    elif uv.exists():
        commands = [
            [str(uv), "venv", "--quiet", "--allow-existing", "--python", PYTHON, str(environment)],
            [str(uv), "pip", "install", "--quiet", "--no-deps", "--python", str(python), "-r", listed],
        ]
    else:
        raise SystemExit(f"{peer} needs Python {PYTHON}: found neither python{PYTHON} nor .tools/uv/bin/uv")
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{peer}'s environment cannot be made:\n{done.stderr[-2000:]}")
    (environment / _MADE_FROM).write_text(_digest(requirements))
    return python


def _digest(requirements: Path) -> str:
    return hashlib.sha256(requirements.read_bytes()).hexdigest()
