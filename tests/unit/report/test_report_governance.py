"""Privacy budget, approval and the merge's warnings: in the page, in its twin, and in words where absent."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.collect import collect
from pipeline.report.model import Decision
from pipeline.report.render import render, render_html
from tests.unit.report.made_up_run import SECRET

MakeRun = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("no_pictures")  # the words are looked at
DEMANDED = {"state": "waiting for approval", "required": 2, "decisions": []}


def text_of(page: str) -> str:
    """The page's words, without markup and line breaks."""
    return " ".join(re.sub(r"<[^>]*>", " ", page.split("<main", 1)[1]).split())


def locale_of(report: Any, name: str = "eu-west") -> Any:
    return next(item for item in report.locales if item.locale == name)


def test_budget_and_approval_stand_in_the_twin(make_run: MakeRun, tmp_path: Path) -> None:
    render(collect(make_run().run_dir), tmp_path / "page.html")
    twin = json.loads((tmp_path / "page.json").read_text())
    (eu,) = [item for item in twin["locales"] if item["locale"] == "eu-west"]
    assert eu["budget"]["content"] == {
        "epsilon": 3.0,
        "delta": 1e-6,
        "unit": "record",
        "neighboring_relation": "add_or_remove_one",
        "spent": 1.9342,
        "counted": 2.4871,
        "left": 0.5129,
        "releases": 2,
        "reserved": 1,
        "refused": 1,
    }
    # Names and times leave as they are: the manifest has them too.
    first = {"who": "Cleo Winterbottom", "at": "2026-11-20T16:04:11Z", "decision": "approved"}
    assert eu["approval"]["content"]["decisions"][0] == first
    assert eu["approval"]["content"]["state"] == "approved"
    (warning,) = twin["central"]["merge"]["content"]["warnings"]["content"]
    assert warning.startswith("locale us-east: the release was made before")


def test_budget_approval_and_warnings_stand_in_the_page(whole_page: str) -> None:
    text = text_of(whole_page)
    assert "composed, for the record that paid most. What is set aside counts as spent." in text
    numbers = "Spent 1.934 Spent and set aside 2.487 Left 0.513 Budget (epsilon) 3.000 Delta 1.0e-6"
    assert f"{numbers} Unit record add or remove one" in text
    assert "Models paid for 2 Open reservations 1 Reservations refused 1" in text
    assert "approved Approvals needed: 2." in text
    assert "Cleo Winterbottom 20 Nov 2026, 16:04 UTC approved" in text
    assert "Dilnaz 21 Nov 2026, 02:30 UTC approved" in text
    assert "Warnings of the merge locale us-east: the release was made before" in text
    # Said once per restricted locale, and of an open one not at all.
    assert text.count("Privacy budget") == text.count(" Approval ") == 2
    assert "No budget is configured for ap-south, so nothing limits what its releases cost." in text
    assert "No approval is required for releases of ap-south." in text
    assert "us-east is open: it shares its validated rows, which no" not in text


@pytest.mark.parametrize(
    ("state", "budget", "approval"),
    [
        (None, "This run did not record the budget of", "This run did not record the approvals of"),
        ("not opened", "The budget of eu-west was not opened yet; its first run opens it.", None),
        ("not readable", "The budget ledger of eu-west cannot be read", "The audit log of eu-west cannot"),
        ("no policy in force", None, "No policy is in force in eu-west, so nobody can approve a release."),
        ("nothing asked", None, "No release of eu-west came to a decision in this run."),
        ("not recorded", None, "The audit log of eu-west holds no decision about this release."),
    ],
)
def test_what_is_missing_is_said_in_words(
    make_run: MakeRun, state: str | None, budget: str | None, approval: str | None
) -> None:
    run = make_run()
    found = {"budget": {"state": state}, "approval": {"state": state, "required": 1}} if state else None
    run.state["locales"]["eu-west"]["governance"] = found
    report = collect(run.save())
    eu, text = locale_of(report), text_of(render_html(report))
    assert eu.budget.content is None and eu.approval.content is None
    for words, absent in ((budget, eu.budget.absent), (approval, eu.approval.absent)):
        if words:
            assert absent.startswith(words) and words in text
            assert "…" not in absent  # our own words, which may leave


def test_a_budget_without_a_finite_bound_has_no_number(make_run: MakeRun) -> None:
    run = make_run()
    run.state["locales"]["eu-west"]["governance"]["budget"] |= {"spent": None, "counted": None}
    report = collect(run.save())
    assert locale_of(report).budget.content.spent is None
    words = "Spent no finite bound Spent and set aside no finite bound Left 0.513"
    assert words in text_of(render_html(report))


@pytest.mark.parametrize("locale", ["eu-west", "us-east"])
def test_a_release_that_waits_or_was_rejected_says_so(make_run: MakeRun, locale: str) -> None:
    """An open locale may ask people too."""
    run = make_run()
    run.state["locales"]["eu-west"]["governance"]["approval"] = {"state": "not required"}
    recorded = run.state["locales"][locale]["governance"]
    recorded["approval"] = dict(DEMANDED)
    text = text_of(render_html(collect(run.save())))
    assert "waiting for approval Approvals needed: 2. Nobody has decided yet." in text
    rejection = {"who": "Cleo", "at": "2026-11-21T02:30:59Z", "decision": "rejected"}
    recorded["approval"] |= {"state": "rejected", "decisions": [rejection]}
    report = collect(run.save())
    assert locale_of(report, locale).approval.content.decisions == (Decision(**rejection),)
    assert "Cleo 21 Nov 2026, 02:30 UTC rejected" in text_of(render_html(report))


def test_the_statement_of_each_release_stands_in_the_page(make_run: MakeRun, whole_page: str) -> None:
    report, text = collect(make_run().run_dir), text_of(whole_page)
    eu, ap, us = (locale_of(report, name).statement.content for name in ("eu-west", "ap-south", "us-east"))
    assert (eu.mechanism, eu.epsilon, eu.delta, eu.unit) == ("DP-SGD", 1.9342, 1e-6, "record")
    assert (ap.mechanism, ap.epsilon, us.epsilon) == ("none: no differential privacy", None, None)
    assert "Mechanism DP-SGD Epsilon 1.934 Delta 1.0e-6 Unit record add or remove one" in text
    assert text.count("Privacy statement") == 3 and text.count("Epsilon 1.934") == 1
    # Whole, numbers too: the release's manifest has told them already.
    for statement in (eu, ap, us):
        assert len(statement.sentences) >= 4
        assert all(sentence in html.unescape(text) for sentence in statement.sentences)
    assert any("with epsilon 1.9342 and delta 1e-06" in sentence for sentence in eu.sentences)
    assert any("no bound that holds against every attack" in sentence for sentence in ap.sentences)


@pytest.mark.parametrize(
    ("push", "words"),
    [
        ({"pushed": False, "reason": "NOT_BLESSED"}, "eu-west released nothing in this run"),
        ({"pushed": True, "rows": 1}, "This run did not record the statement of eu-west"),
    ],
)
def test_a_statement_that_is_not_there_says_why(make_run: MakeRun, push: Any, words: str) -> None:
    run = make_run()
    run.file("eu-west", "Pusher", "pushed", "push.json").write_text(json.dumps(push))
    report = collect(run.save())
    assert locale_of(report).statement.absent.startswith(words)
    assert words in text_of(render_html(report)) and "…" not in locale_of(report).statement.absent


def test_only_the_sentences_of_a_statement_leave_unread(make_run: MakeRun) -> None:
    run = make_run()
    file = run.file("eu-west", "Pusher", "pushed", "push.json")
    push = json.loads(file.read_text())
    push["privacy"] |= {"mechanism": SECRET, "unit": SECRET, "adjacency": SECRET}
    file.write_text(json.dumps(push))
    assert SECRET not in render_html(collect(run.run_dir))


def test_a_merge_without_warnings_says_so_and_an_old_one_does_not(make_run: MakeRun) -> None:
    run = make_run()
    file = run.file("central", "MergeGen", "merge_report", "merge.json")
    merge = json.loads(file.read_text())
    file.write_text(json.dumps(merge | {"warnings": []}))
    assert "The merge had no warning." in text_of(render_html(collect(run.run_dir)))
    del merge["warnings"]
    file.write_text(json.dumps(merge))
    text = text_of(render_html(collect(run.run_dir)))
    assert "merge.json does not say whether the merge had warnings." in text
    assert "no warning" not in text
