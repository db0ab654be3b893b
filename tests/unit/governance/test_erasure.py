"""Erasure on a locale's folder as runs leave it: what is found, what is done, what is evidence."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from components.errors import ConfigError, DataError
from components.release.keys import load_public_key
from components.release.storage import open_store
from components.release.verify import RevokedReleaseError, verify_release
from pipeline import retaining
from pipeline.erasure import drill, steps, tracing
from pipeline.erasure.evidence import Evidence, subject_digest


def test_a_drill_follows_a_pseudonym_from_source_to_release_and_changes_nothing(locale, isthmus):
    locale.source("zoe", "bob")
    hers, his = locale.run("zoe", "bob", rows=20), locale.run("bob", "bob", rows=21)
    before = sorted(locale.root.rglob("*"))
    status, text = isthmus("erase", "--locale", "eu-west", "--series", "zoe", "--json")
    found = json.loads(text)
    assert status == 0 and sorted(locale.root.rglob("*")) == before
    assert found["examples"] == {str(hers["examples"]): {"train": 1}}
    assert found["stored_as"] == "pseudonymise" and not found["applied"]
    assert [release["uri"] for release in found["releases"]] == [str(hers["release"])]
    assert found["retrain"] == [str(hers["model"])] and str(his["model"]) not in found["artifacts"]
    assert found["sources"] == {"eu-1.csv": 1}


def test_an_applied_erasure_revokes_deletes_and_leaves_signed_evidence(locale, isthmus, monkeypatch):
    locale.source("bob")
    hers, his = locale.run("zenobia", "bob", rows=20), locale.run("bob", rows=21)
    digest = json.loads((hers["pushed"] / "push.json").read_text())["content_digest"]
    detector = {
        "name": "detector",
        "version": 1,
        "uri": "registry/detector/1",
        "releases": [{"digest": digest}],
    }
    other = {**detector, "uri": "registry/detector/2", "releases": [{"digest": "f" * 64}]}
    monkeypatch.setattr(drill, "registry_versions", lambda deployment: [detector, other])
    status, text = isthmus("erase", "--locale", "eu-west", "--series", "zenobia", "--apply")
    assert status == 0, text
    for kind in ("examples", "model", "pushed"):
        assert not hers[kind].exists() and his[kind].exists(), kind
    key = load_public_key(str(locale.root / "key.pub"))
    with pytest.raises(RevokedReleaseError):
        verify_release(open_store(str(hers["release"])), "", {"eu-west": [key]})
    verify_release(open_store(str(his["release"])), "", {"eu-west": [key]})
    (pack,) = (locale.root / "eu-west" / "governance" / "erasures").iterdir()
    evidence = Evidence.model_validate_json((pack / "evidence.json").read_bytes())
    assert key.verifies(evidence) and evidence.complete and evidence.applied
    assert [release["outcome"] for release in evidence.releases] == ["revoked"]
    assert [found["uri"] for found in evidence.detectors] == ["registry/detector/1"]
    assert subject_digest(evidence.subject_salt, "zenobia") == evidence.subject_sha256
    forged = evidence.model_copy(update={"complete": False})
    assert not key.verifies(forged)
    (entry,) = [e for e in locale.region.audit.chain.read() if e.kind == "erasure"]
    assert entry.body["erasure_id"] == evidence.erasure_id
    # The drill again finds only what is left to do; neither pack, log nor revocation names the subject.
    again = json.loads(isthmus("erase", "--locale", "eu-west", "--series", "zenobia", "--json")[1])
    assert (again["examples"], again["artifacts"], again["releases"]) == ({}, [], [])
    (note,) = again["notes"]
    assert note.startswith(f"erasure {evidence.erasure_id} of this subject is applied, and what was deleted")
    for file in [
        *pack.iterdir(),
        locale.region.audit.chain.path,
        *(locale.root / "exchange").rglob("*.json"),
    ]:
        assert b"zenobia" not in file.read_bytes(), file


def test_an_erasure_is_not_complete_while_the_source_has_the_rows(locale, isthmus):
    locale.source("zoe", "zoe", "bob")
    locale.run("zoe", "bob")
    (locale.root / "subject").write_text("zoe\n")
    where = ("--locale", "eu-west", "--series-file", str(locale.root / "subject"))
    status, text = isthmus("erase", *where, "--apply")
    assert status == 1 and "NOT complete" in text and ": 2 rows" in text
    locale.source("bob")
    status, text = isthmus("erase", *where, "--apply")
    assert status == 0 and "searched have no row of the subject" in text


def test_where_subjects_share_a_form_all_of_that_form_count(locale, isthmus):
    file = locale.root / "isthmus.yaml"
    rule = "action: generalise, mapping: {zoe: site-1, bob: site-1, eve: site-2}"
    file.write_text(file.read_text().replace("action: pseudonymise, key: {file: salt}", rule))
    locale.source("bob")
    theirs = locale.run("bob", "bob")
    locale.run("eve", rows=21)
    found = json.loads(isthmus("erase", "--locale", "eu-west", "--series", "zoe", "--json")[1])
    assert found["examples"] == {str(theirs["examples"]): {"train": 2}}
    assert found["stored_as"] == "generalise (with all others of the same form)"


def test_a_rotated_key_is_followed_and_a_forgotten_one_is_named(locale, isthmus):
    locale.source("bob")
    hers = locale.run("zoe", "bob")
    (locale.root / "salt2").write_text("the next secret")
    file = locale.root / "isthmus.yaml"
    before = file.read_text()
    file.write_text(before.replace("key: {file: salt}", "key: {file: salt2}, old_key: {file: salt}"))
    newer = locale.run("zoe", rows=21)
    found = json.loads(isthmus("erase", "--locale", "eu-west", "--series", "zoe", "--json")[1])
    assert found["examples"] == {str(hers["examples"]): {"train": 1}, str(newer["examples"]): {"train": 1}}
    assert found["notes"] == []
    file.write_text(before.replace("key: {file: salt}", "key: {file: salt2}"))
    found = json.loads(isthmus("erase", "--locale", "eu-west", "--series", "zoe", "--json")[1])
    assert found["examples"] == {str(newer["examples"]): {"train": 1}}
    (note,) = found["notes"]
    assert note.startswith(f"{hers['examples']}: 2 rows have pseudonyms of a key that is not configured")


def test_a_release_whose_examples_are_gone_is_named_as_not_known(locale, isthmus):
    locale.source("bob")
    old = locale.run("bob")
    retaining.delete_folder(old["examples"])
    found = json.loads(isthmus("erase", "--locale", "eu-west", "--series", "zoe", "--json")[1])
    assert found["releases"] == [] and str(old["release"]) in found["notes"][0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--series", "zoe", "--column", "temp_c"), "--column: found 'temp_c'; allowed: asset"),
        ((), "--series: found neither or both"),
        (("--series", "zoe", "--series-file", "x"), "--series: found neither or both"),
    ],
)
def test_what_is_asked_wrongly_of_an_erasure_is_said(locale, isthmus, arguments, words):
    status, text = isthmus("erase", "--locale", "eu-west", *arguments)
    assert status == 2 and words in text


def test_an_unknown_column_is_refused_by_the_trace_itself(locale):
    with pytest.raises(ConfigError, match="--column"):
        tracing.trace(locale.deployment, "eu-west", "site", "x")


# --- every span that left a trace ---

SUBJECT = ("--locale", "eu-west", "--series", "zoe")


def drilled(isthmus, *arguments: str) -> dict:
    status, text = isthmus("erase", *SUBJECT, "--json", *arguments)
    assert status in (0, 1), text
    return json.loads(text)


def packs(locale) -> list[Evidence]:
    folder = locale.root / "eu-west" / "governance" / "erasures"
    return [
        Evidence.model_validate_json(file.read_bytes()) for file in sorted(folder.glob("*/evidence.json"))
    ]


def test_sources_of_earlier_spans_are_searched_too(locale, isthmus):
    locale.source("zoe", "zoe", "bob", span=1)
    locale.source("bob", span=2)
    locale.run("zoe", "bob", span=1)
    locale.run("bob", rows=21, span=2)
    found = drilled(isthmus)
    assert found["sources"] == {"eu-1.csv": 2} and not found["complete"]
    assert [(span["span"], span["rows"], span["searched"]) for span in found["spans"]] == [
        (1, 2, True),
        (2, 0, True),
    ]
    assert found["spans"][0]["traces"] == ["artifacts", "audit log", "exchange", "metadata"]
    status, text = isthmus("erase", *SUBJECT, "--apply")
    assert status == 1 and "NOT complete: source files still have rows" in text and "eu-1.csv: 2 rows" in text


def test_a_span_that_no_run_has_read_yet_is_searched_as_well(locale, isthmus):
    locale.source("bob", span=1)
    locale.source("zoe", span=7)
    locale.run("bob")
    found = drilled(isthmus)
    assert found["sources"] == {"eu-7.csv": 1} and found["spans"][1]["traces"] == []


def test_a_version_that_was_replaced_is_searched(locale, isthmus):
    file = locale.root / "isthmus.yaml"
    file.write_text(file.read_text().replace("eu-{SPAN}.csv", "eu-{SPAN}-{VERSION}.csv"))
    locale.source("zoe", span=1)
    (locale.root / "eu-1.csv").rename(locale.root / "eu-1-1.csv")
    locale.source("bob", span=1)
    (locale.root / "eu-1.csv").rename(locale.root / "eu-1-2.csv")
    assert drilled(isthmus)["sources"] == {"eu-1-1.csv": 1}


def test_a_span_whose_source_is_gone_is_named_and_is_no_clean_one(locale, isthmus):
    locale.source("bob", span=2)
    locale.run("zoe", "bob", span=1)
    locale.run("bob", rows=21, span=2)
    status, text = isthmus("erase", *SUBJECT, "--apply")
    assert status == 1 and "NOT complete: whether the source of those spans has rows" in text
    assert "span 1 (trace: artifacts, audit log, exchange, metadata): the source has no file of this" in text
    assert not packs(locale)[0].complete
    # The operator may state that it was destroyed: their word is in the evidence, and it is no search.
    status, text = isthmus("erase", *SUBJECT, "--apply", "--gone", "1")
    assert status == 0 and "any more; destroyed, as the operator states" in text
    (evidence,) = packs(locale)
    assert evidence.complete and not evidence.spans[0].searched and evidence.spans[0].stated_gone


@pytest.mark.parametrize(("span", "allowed"), [("2", "1"), ("9", "1")])
def test_only_a_span_that_cannot_be_searched_can_be_said_to_be_gone(locale, isthmus, span, allowed):
    locale.source("zoe", span=2)
    locale.run("zoe", span=1)
    status, text = isthmus("erase", *SUBJECT, "--gone", span)
    assert status == 2 and f"--gone: found {span}, " in text and f"allowed: {allowed}" in text


def test_a_span_of_which_only_the_exchange_knows_is_named(locale, isthmus):
    locale.source("bob", span=2)
    locale.region.push(span=5)
    found = drilled(isthmus)
    (unsearched,) = [span for span in found["spans"] if not span["searched"]]
    assert unsearched["span"] == 5 and "exchange" in unsearched["traces"]
    assert "no run below this root is known to have made it" in found["notes"][0]


def test_a_span_of_which_only_the_ledger_knows_is_named(locale, isthmus, make_region, monkeypatch):
    from pipeline import governance

    locale.source("bob")
    state = SimpleNamespace(reservations={"r": SimpleNamespace(span=3)})
    ledger = SimpleNamespace(state=lambda: state)
    monkeypatch.setattr(governance, "ledger_of", lambda deployment, name: ledger)
    found = drilled(isthmus)
    assert [(span["span"], span["traces"]) for span in found["spans"]] == [(1, []), (3, ["ledger"])]


def test_a_file_that_cannot_be_read_is_not_searched(locale, isthmus):
    locale.source("bob", span=1)
    (locale.root / "eu-2.csv").write_text("timestamp,temp_c,label\n2026-01-01T00:00:00Z,1,0\n")
    found = drilled(isthmus)
    assert [span["searched"] for span in found["spans"]] == [True, False] and not found["complete"]
    assert "eu-2.csv: no series column 'asset'" in found["spans"][1]["why"]


def test_a_row_that_does_not_split_counts_if_it_names_the_subject(locale, isthmus):
    locale.source("bob")
    with (locale.root / "eu-1.csv").open("a") as file:
        file.write("2026-01-01T00:09:00Z,zoe,1.5,0,too many\n")
    assert drilled(isthmus)["sources"] == {"eu-1.csv": 1}


# --- what was measured against the subject's rows ---


def test_results_of_later_spans_that_were_measured_against_these_are_influenced(locale, isthmus):
    locale.source("bob", span=1)
    locale.source("bob", span=2)
    locale.source("bob", span=3)
    hers = locale.run("zoe", "bob", span=1)
    later = locale.run("bob", rows=21, span=2, before=hers)
    after = locale.run("bob", rows=22, span=3, before=later)
    found = drilled(isthmus)
    assert found["compared"] == sorted(
        str(later[kind]) for kind in ("anomalies", "drift", "evaluation", "blessing")
    )
    assert [release["uri"] for release in found["releases"]] == [str(hers["release"])]
    assert found["compared_releases"] == [str(later["release"])]
    assert not any(str(after[kind]) in found["artifacts"] + found["compared"] for kind in after)
    status, text = isthmus("erase", *SUBJECT, "--apply")
    assert status == 0, text
    assert not later["drift"].exists() and not later["anomalies"].exists() and after["drift"].exists()
    # Its rows are of others: the release stands, and so does what says that it was pushed.
    assert later["pushed"].exists() and later["model"].exists()
    key = load_public_key(str(locale.root / "key.pub"))
    verify_release(open_store(str(later["release"])), "", {"eu-west": [key]})
    assert f"  - {later['drift']}" in text and str(later["drift"]) in packs(locale)[0].deleted


def test_runs_whose_record_is_gone_are_followed_by_the_metadata_store(locale, isthmus):
    locale.source("bob")
    hers = locale.run("zoe")
    (locale.root / "runs" / "20260101" / "run.json").unlink()
    found = drilled(isthmus)
    assert str(hers["model"]) in found["artifacts"] and str(hers["quarantine"]) in found["artifacts"]
    assert [release["uri"] for release in found["releases"]] == [str(hers["release"])]


def test_without_a_metadata_store_it_is_said_that_comparisons_are_not_known(locale, isthmus):
    locale.source("bob")
    hers = locale.run("zoe")
    (locale.root / "eu-west" / "metadata.sqlite").unlink()
    found = drilled(isthmus)
    assert str(hers["drift"]) in found["artifacts"]
    assert "metadata.sqlite: not there, so results of other spans" in found["notes"][0]


def test_a_damaged_metadata_store_is_no_empty_one(tmp_path):
    (tmp_path / "metadata.sqlite").write_bytes(b"no data base" * 1000)
    with pytest.raises(DataError, match=r"metadata\.sqlite: cannot be read"):
        steps.of_store(tmp_path / "metadata.sqlite")
    assert steps.of_store(tmp_path / "none.sqlite") == []


def test_a_metadata_store_as_tfx_writes_it_gives_the_steps(tmp_path):
    from ml_metadata.metadata_store import MetadataStore
    from ml_metadata.proto import metadata_store_pb2 as proto

    config = proto.ConnectionConfig()
    config.sqlite.filename_uri = str(tmp_path / "metadata.sqlite")
    store = MetadataStore(config)
    kind = store.put_artifact_type(proto.ArtifactType(name="Artifact"))
    uris = ("statistics/5", "drift/6", "evaluation/7")
    ids = store.put_artifacts([proto.Artifact(type_id=kind, uri=uri) for uri in uris])

    def execute(name: str, reads: list[int], writes: list[int], state: int, **properties: str) -> None:
        execution = proto.Execution(
            type_id=store.put_execution_type(proto.ExecutionType(name=f"components.x.component.{name}"))
        )
        execution.custom_properties["span"].int_value = 2
        for key, value in properties.items():
            execution.custom_properties[key].string_value = value
        (number,) = store.put_executions([execution])
        events = [(proto.Event.INPUT, uri) for uri in reads] + [(state, uri) for uri in writes]
        store.put_events(
            [proto.Event(execution_id=number, artifact_id=uri, type=side) for side, uri in events]
        )

    output, pending = proto.Event.OUTPUT, proto.Event.PENDING_OUTPUT
    execute("ExampleValidator", ids[:1], ids[1:2], output, previous_statistics_uri="statistics/1")
    execute("ReleaseEvaluator", [], ids[2:], pending, config='{"previous_synthetic_uri": "synthetic/1"}')
    assert steps.of_store(tmp_path / "metadata.sqlite") == [
        steps.Step(
            "ExampleValidator",
            frozenset({"statistics/5"}),
            frozenset({"statistics/1"}),
            frozenset({"drift/6"}),
            2,
        ),
        steps.Step(
            "ReleaseEvaluator", frozenset(), frozenset({"synthetic/1"}), frozenset({"evaluation/7"}), 2
        ),
    ]


def test_own_reports_and_what_a_refused_validation_left_are_influenced(locale, isthmus):
    locale.source("bob", span=1)
    locale.source("bob", span=2)
    hers = locale.run("zoe", span=1)
    locale.run("bob", rows=21, span=2, before=hers)
    locale.run("bob", rows=22, span=2)
    files = {}
    monitoring = "reports/20260101.monitor/monitor.html"
    for name in ("reports/20260101.html", "reports/20260102.json", "reports/20260103.html", monitoring):
        files[name] = locale.root / "eu-west" / name
    for span in (1, 2):
        files[f"span-{span}"] = (
            locale.root / "eu-west" / "work" / "ExampleValidator" / f"span-{span}" / "drift.json"
        )
    for file in files.values():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
    assert isthmus("erase", *SUBJECT, "--apply")[0] == 0
    assert [name for name, file in files.items() if file.exists()] == ["reports/20260103.html"]


def monitored(run: Path, *reports: dict) -> list[str]:
    """Writes a run's pages of monitoring with these reports; returns their names below `runs`."""
    zones = [report["zone"] for report in reports]
    names = ["monitor.json", "monitor.html", "summary.md", *(f"monitor/{zone}.html" for zone in zones)]
    (run / "monitor").mkdir(parents=True, exist_ok=True)
    for name in names:
        (run / name).write_text(json.dumps({"reports": reports}))
    return [f"{run.name}/{name}" for name in names]


def shown(zone: str, locale: str, span: int, *, bins: bool, against: str = "span 0") -> dict:
    distribution = {"share": [1.0], "share_baseline": [1.0]} if bins else None
    finding = {"locale": locale, "against": against, "span": span, "distribution": distribution}
    return {"zone": zone, "findings": [finding]}


def test_pages_outside_the_locale_go_where_they_hold_bins_of_it(locale, isthmus):
    locale.source("bob", span=1)
    locale.source("bob", span=2)
    hers = locale.run("zoe", span=1)
    locale.run("bob", rows=21, span=2, before=hers)
    locale.run("bob", rows=22, span=2)
    runs = locale.root / "runs"
    other = shown("us-east", "us-east", 1, bins=True)
    # Read her rows; was measured against them; neither, but what the centre shows of span 1 stands on them.
    first = monitored(runs / "20260101", shown("eu-west", "eu-west", 1, bins=True), other)
    second = monitored(runs / "20260102", shown("eu-west", "eu-west", 2, bins=False), other)
    third = monitored(
        runs / "20260103",
        shown("eu-west", "eu-west", 2, bins=True),
        shown("central", "us-east", 1, bins=True, against="eu-west"),
    )
    listed = drilled(isthmus)["artifacts"]
    assert isthmus("erase", *SUBJECT, "--apply")[0] == 0
    gone = {name for name in (*first, *second, *third) if not (runs / name).exists()}
    pages = ("monitor.json", "monitor.html")
    assert gone == {
        *(f"20260101/{name}" for name in (*pages, "monitor/eu-west.html")),
        *(f"20260103/{name}" for name in (*pages, "monitor/central.html")),
    }
    assert gone <= {str(Path(name).relative_to(runs)) for name in listed if str(runs) in name}


def test_pages_of_which_cannot_be_told_what_they_show_go_too(locale, isthmus):
    locale.source("bob")
    locale.run("zoe")
    names = monitored(locale.root / "runs" / "20260101", shown("us-east", "us-east", 1, bins=True))
    (locale.root / "runs" / "20260101" / "monitor.json").write_text("{")
    assert isthmus("erase", *SUBJECT, "--apply")[0] == 0
    left = [name for name in names if (locale.root / "runs" / name).exists()]
    assert left == ["20260101/summary.md"]


def test_rows_that_were_set_aside_are_found(locale, isthmus):
    locale.source("bob")
    made = locale.run("bob")
    form = tracing.stored_forms(locale.deployment, "eu-west", "asset", "zoe")[0][0]
    rows = made["quarantine"] / "quarantine_rows.csv"
    rows.write_text(f'"file","row","timestamp","asset","text"\n"eu-1.csv",3,"","{form}",""\n')
    assert drilled(isthmus)["artifacts"] == [str(rows)]
    assert isthmus("erase", *SUBJECT, "--apply")[0] == 0
    assert not rows.exists() and (made["quarantine"] / "ingest.json").exists()


def test_what_the_centre_made_of_a_revoked_release_is_named_and_not_deleted(locale, isthmus):
    locale.source("bob")
    hers = locale.run("zoe")
    digest = json.loads((hers["pushed"] / "push.json").read_text())["content_digest"]
    merge = locale.root / "central" / "artifacts" / "MergeGen" / "merge_report" / "1"
    merge.mkdir(parents=True)
    (merge / "merge.json").write_text(json.dumps({"accepted": [{"digest": digest}]}))
    record = locale.root / "runs" / "20260101" / "run.json"
    state = json.loads(record.read_text())
    state["central"] = {"components": [{"id": "MergeGen", "outputs": {"merge_report": str(merge)}}]}
    record.write_text(json.dumps(state))
    assert isthmus("erase", *SUBJECT, "--apply")[0] == 0
    assert packs(locale)[0].central == (str(merge),) and merge.exists()


def test_profiles_and_reports_of_drift_go_with_the_span_that_they_were_measured_against():
    """A profile has the bins of the first span: their edges are values of its rows."""
    baselines = {
        "sources": [{"kind": "previous", "profiles": ["p/1"], "statistics": "s/1"}, {"kind": "window"}],
        "plan": "p/0",
    }
    properties = {
        "baselines": SimpleNamespace(string_value=json.dumps(baselines)),
        "previous_statistics_uri": SimpleNamespace(string_value=""),
    }
    drift = steps._execution(
        "components.drift_monitor.component.DriftMonitor", properties, {"e/2"}, {"p/2", "m/2"}
    )
    assert drift.compares == {"p/0", "p/1", "s/1"}
    generator = steps.Step("GeneratorMonitor", frozenset({"p/2", "m/2"}), frozenset(), frozenset({"g/2"}))
    pusher = steps.Step("Pusher", frozenset({"g/2"}), frozenset(), frozenset({"push/2"}))
    for gone in ("p/0", "p/1", "s/1"):
        assert steps.measured_against([drift, generator, pusher], {gone}) == {"p/2", "m/2", "g/2"}
    assert steps.measured_against([drift, generator, pusher], {"p/7"}) == set()
