"""The golden specs: what `tests/golden/deployment.yaml` compiles to. `make golden` writes them anew."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.support.deployments import GOLDEN, deployment

LAYOUTS = ("single-cluster", "multi-cluster")


def compiled() -> dict[str, str]:
    """Path below `tests/golden` to the text of each spec."""
    from pipeline.compiler.compile import compile_deployment
    from pipeline.compiler.text import to_text

    with tempfile.TemporaryDirectory() as folder:
        loaded = deployment(Path(folder))
    return {
        f"{layout}/{spec.name}.yaml": to_text(spec)
        for layout in LAYOUTS
        for spec in compile_deployment(loaded, layout)[0]  # type: ignore[arg-type]
    }


def main() -> None:
    """Writes all of them; removes what is compiled no longer."""
    found = compiled()
    for layout in LAYOUTS:
        for file in (GOLDEN / layout).glob("*.yaml"):
            if f"{layout}/{file.name}" not in found:
                file.unlink()
    for name, text in found.items():
        (GOLDEN / name).parent.mkdir(exist_ok=True)
        (GOLDEN / name).write_text(text)
        print(GOLDEN / name)


if __name__ == "__main__":
    main()
