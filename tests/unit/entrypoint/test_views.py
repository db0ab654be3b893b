"""What a step shows in KFP's pages."""

from __future__ import annotations

import json
from pathlib import Path

from components.egress.words import words_of
from pipeline.entrypoint import views

PUSH = {
    "pushed": False,
    "reason": "locale=eu span=2: column pressure holds CANARY4711 of Ada Lovelace in row 17",
    "release_id": "0123456789ab",
    "span": 2,
    "rows": 40,
    "content_digest": "",
}
NAMES = words_of(["eu", "pressure"])


def test_a_restricted_locales_reason_is_judged_word_by_word() -> None:
    text = views.region_summary(PUSH, "eu", NAMES, True)
    for secret in ("CANARY4711", "Ada", "Lovelace"):
        assert secret not in text
    assert "column pressure holds" in text and "row 17" in text and text.startswith("# eu: not released\n")


def test_an_open_locales_reason_is_shown_as_it_is() -> None:
    assert PUSH["reason"] in views.region_summary(PUSH, "eu", NAMES, False)


def test_what_is_known_of_a_release_is_a_table_and_what_is_not_is_left_out() -> None:
    text = views.region_summary({**PUSH, "pushed": True, "reason": ""}, "eu", NAMES, True)
    assert text.startswith("# eu: released\n") and "| release | `0123456789ab` |" in text
    assert "| rows | `40` |" in text and "content digest" not in text


def test_the_centres_summary_shows_f1_only() -> None:
    text = views.central_summary("All is well", {"a_b_f1": 0.51239, "a_b_tpr": 0.9})
    assert text.startswith("# All is well\n") and "| a_b_f1 | 0.5124 |" in text and "tpr" not in text


def test_a_blessing_without_a_verdict_has_none(tmp_path: Path) -> None:
    assert views.verdict_in(tmp_path) == ""
    (tmp_path / "verdict.json").write_text(json.dumps({"verdict": "BLESSED"}))
    assert views.verdict_in(tmp_path) == "BLESSED"
