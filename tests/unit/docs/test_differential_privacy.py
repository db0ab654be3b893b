"""The page on differential privacy names tests that exist, and numbers that the code has."""

from __future__ import annotations

import re
from pathlib import Path

from components.synthesizer_trainer.config import DpConfig
from components.synthesizer_trainer.core.dp.queries import EVENT_CLIP, ROW_CLIP, STAGE_SHARES

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "differential-privacy.md").read_text()


def test_every_test_that_is_named_exists() -> None:
    files = set(re.findall(r"`((?:unit|contract)/[\w/]+\.py)", PAGE))
    names = set(re.findall(r"\b(test_\w+)\b(?!\.py)", PAGE))
    assert len(files) > 4 and len(names) > 15
    for file in files:
        assert (ROOT / "tests" / file).is_file(), file
    written = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for name in names:
        assert f"def {name}(" in written or f"/{name}.py" in PAGE or f"`{name}.py" in PAGE, name


def test_the_numbers_are_those_of_the_code() -> None:
    for name, share in STAGE_SHARES.items():
        assert f"{name} ({share:.2f})" in PAGE
    assert round(ROW_CLIP**2, 6) == 2.5 and EVENT_CLIP == 3.0
    fields = DpConfig.model_fields
    assert f"`signal` ({fields['signal'].default:g})" in PAGE
    assert fields["var_order"].default == 1 and fields["window_rows"].default == 12
