"""What zones say to the run's report, and what the report makes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from components.errors import ConfigError, DataError, InternalError
from components.governance.config import REJECTED, WAITING
from components.release.options import DEFAULT_OPTIONS
from pipeline.entrypoint import notices, outcome, views

RUN = "0a1b2c3d-run"
GOOD = {"zone": "eu", "outcome": "pushed", "span": 3, "release_id": "0123456789ab"}


@pytest.fixture(params=["folder", "memory"])
def exchange(request, tmp_path: Path) -> str:
    return str(tmp_path / "exchange") if request.param == "folder" else f"memory://notices-{tmp_path.name}"


def write(exchange: str, run: str = RUN, **change: Any) -> None:
    notices.write(exchange, DEFAULT_OPTIONS, run, {**GOOD, **change})


def read(exchange: str, run: str = RUN) -> dict[str, dict[str, Any]]:
    return notices.read(exchange, DEFAULT_OPTIONS, run)


def test_a_notice_is_read_as_it_was_written(exchange: str) -> None:
    write(exchange)
    write(exchange, zone="central", outcome="not pushed", verdict="NOT_BLESSED", version=2)
    found = read(exchange)
    assert set(found) == {"eu", "central"}
    assert {key: found["eu"][key] for key in GOOD} == GOOD and set(found["eu"]) == {*GOOD, "at"}
    assert found["central"]["version"] == 2


def test_runs_are_apart(exchange: str) -> None:
    write(exchange)
    assert read(exchange, "another") == {} and read(exchange, "") == {}


@pytest.mark.parametrize(
    "change",
    [
        {"reason": "value 4711 of patient Ada"},
        {"outcome": "the value is 4711"},
        {"outcome": "Ada Lovelace"},
        {"release_id": "Ada"},
        {"verdict": "because 4711"},
        {"zone": "../eu"},
        {"zone": "_notices"},
        {"span": "3"},
        {"version": 4711.5},
    ],
)
def test_nothing_else_than_listed_words_leaves(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(InternalError, match="egress: a notice holds the field") as caught:
        write(str(tmp_path / "exchange"), **change)
    assert "4711" not in str(caught.value) and "Ada" not in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__
    assert not (tmp_path / "exchange").exists()


@pytest.mark.parametrize(
    "run", ["", "none", "{{$.pipeline_job_uuid}}", "../../x", "a/b", ".", "x" * 101, "a\n"]
)
def test_a_run_without_an_id_has_a_place_and_the_report_says_so(tmp_path: Path, run: str) -> None:
    exchange = str(tmp_path / "exchange")
    write(exchange, run)
    folder = "none" if run == "none" else "unnamed"
    assert [path.name for path in (tmp_path / "exchange" / "_notices").iterdir()] == [folder]
    assert set(read(exchange, run)) == {"eu"}
    if folder == "unnamed":
        assert "may be of an earlier run" in outcome.doubt(run)
        assert outcome.doubt(run) in outcome.markdown("fleet", [], outcome.doubt(run))
        assert outcome.doubt(run) in outcome.page("fleet", [], outcome.doubt(run))
    assert outcome.doubt(RUN) == ""


def test_junk_in_the_folder_is_left_out(tmp_path: Path) -> None:
    write(str(tmp_path))
    folder = tmp_path / "_notices" / RUN
    good = json.loads((folder / "eu.json").read_text())
    junk: dict[str, Any] = {
        "us.json": good,  # says that it is another zone's
        "a.json": None,
        "b.json": [good],
        "c.json": {**good, "zone": "c", "outcome": ["pushed"]},
        "d.json": {**good, "zone": "d", "outcome": "<script>alert(1)</script>"},
        "e.json": {**good, "zone": "e", "version": {"a": 1}},
        "f.json": {**good, "zone": "f", "more": "x" * 100},
        "g.json": {**good, "zone": "g", "release_id": "| a | b |"},
        "i.json": {"zone": "i"},
    }
    for name, content in junk.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "h.json").write_bytes(b"\xff\xfe{")
    (folder / "j.json").write_text(json.dumps({**good, "zone": "j"}) + " " * (1 << 15))
    (folder / "folder.json").mkdir()
    (folder / ".eu.json.tmp").write_text("{")
    assert set(read(str(tmp_path))) == {"eu"}


def test_an_exchange_without_notices_has_none(exchange: str) -> None:
    assert read(exchange) == {}


def test_an_exchange_that_cannot_be_reached_gives_one_line(tmp_path: Path) -> None:
    (tmp_path / "exchange").write_text("a file")
    with pytest.raises(DataError, match="cannot write to") as caught:
        write(str(tmp_path / "exchange"))
    assert "\n" not in str(caught.value)


def test_no_locale_can_be_named_so_that_it_collides(tmp_path: Path) -> None:
    import yaml

    from pipeline import starter
    from pipeline.config.load import load_deployment

    config = starter.write(tmp_path, size="small")
    for name in (notices.FOLDER, "_notices", "..", "_x"):
        data = yaml.safe_load(config.read_text())
        data["locales"][0]["name"] = name
        other = tmp_path / "other.yaml"
        other.write_text(yaml.safe_dump(data))
        with pytest.raises(ConfigError, match="name"):
            load_deployment(other)


def zones(tmp_path: Path, *expected: tuple[str, str]) -> list[dict[str, Any]]:
    told = {"zones": expected, "exchange": str(tmp_path), "storage": DEFAULT_OPTIONS.model_dump(mode="json")}
    return outcome.gather(told, RUN)


def test_the_report_names_everybody_and_nobody_else(tmp_path: Path) -> None:
    write(str(tmp_path))
    write(str(tmp_path), zone="jp", outcome=WAITING, release_id="")
    write(str(tmp_path), zone="cn", outcome=REJECTED, release_id="")
    write(str(tmp_path), zone="stranger")
    write(str(tmp_path), zone="central", outcome="pushed", verdict="BLESSED", version=7, release_id="")
    expected = [
        ("eu", "restricted"),
        ("jp", "restricted"),
        ("cn", "open"),
        ("us", "open"),
        ("central", "central"),
    ]
    found = zones(tmp_path, *expected)
    assert [zone["zone"] for zone in found] == ["eu", "jp", "cn", "us", "central"]
    assert outcome.sentence(found) == (
        "1 of 4 regions released; the detector is BLESSED; rejected: cn; waiting for approval: jp; failed: us"
    )
    text, page = outcome.markdown("fleet", found), outcome.page("fleet", found)
    for shown in (text, page):
        assert "stranger" not in shown and "waiting for approval" in shown and outcome.MISSING in shown
        assert "0123456789ab" in shown and "BLESSED" in shown
    assert "| us | open | did not come to its end |  |  |" in text and "| version 7 |" in text
    assert "its tasks in this run say why" in text


def test_a_zone_cannot_claim_another_sharing(tmp_path: Path) -> None:
    folder = tmp_path / "_notices" / RUN
    folder.mkdir(parents=True)
    (folder / "eu.json").write_text(json.dumps({**GOOD, "at": "2026-01-01T00:00:00Z", "sharing": "central"}))
    (found,) = zones(tmp_path, ("eu", "restricted"))
    assert found["sharing"] == "restricted" and found["outcome"] == outcome.MISSING


def test_the_page_asks_nothing_of_elsewhere_and_quotes_its_texts() -> None:
    page = outcome.page("<b>&fleet", [{"zone": "eu", "sharing": "open", "outcome": "<i>"}], "<u>")
    assert "<b>&" not in page and "&lt;b&gt;&amp;fleet" in page and "<i>" not in page and "<u>" not in page
    for word in ("http", "src=", "href=", "<script", "@import", "url("):
        assert word not in page


def test_a_regions_notice_says_how_its_push_ended() -> None:
    push = {"pushed": True, "outcome": "published", "span": 2, "release_id": "0123456789ab", "reason": "4711"}
    assert views.region_notice(push, "eu") == {**GOOD, "span": 2}
    waits = views.region_notice({"pushed": False, "outcome": WAITING, "span": 2}, "eu")
    assert (waits["outcome"], waits["release_id"]) == (WAITING, "")
    assert views.region_notice({"pushed": False}, "eu")["outcome"] == "not pushed"


@pytest.mark.parametrize("outcome_of_push", ["refused", "revoked", WAITING, REJECTED, "cleared"])
def test_every_outcome_of_a_pusher_fits_a_notice(tmp_path: Path, outcome_of_push: str) -> None:
    push = {"pushed": False, "outcome": outcome_of_push, "release_id": "", "span": 1}
    notices.write(str(tmp_path), DEFAULT_OPTIONS, RUN, views.region_notice(push, "eu"))
    assert read(str(tmp_path))["eu"]["outcome"] == outcome_of_push


def test_the_centres_notice_has_the_verdict(tmp_path: Path) -> None:
    for verdict in ("BLESSED", "NOT_BLESSED", ""):
        notice = views.centre_notice({"pushed": True, "version": 3, "reason": "x"}, verdict)
        assert notice == {"zone": "central", "outcome": "pushed", "verdict": verdict, "version": 3}
        notices.write(str(tmp_path), DEFAULT_OPTIONS, RUN, notice)
