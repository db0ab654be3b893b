"""Each channel against a server on this machine: what arrives, over what, and what a failure means."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import re
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest

from components.drift.findings import Measurement, Null
from pipeline.alerts.sending import attempt
from pipeline.alerts.slack import payload as slack_payload
from tests.support import slack_rules, tls
from tests.support.alerting import NOW, finding, run_of
from tests.support.http_sink import HttpSink
from tests.support.smtp_sink import SmtpSink

SCHEMA = Path(__file__).parents[3] / "schemas" / "alerts" / "alert-1.schema.json"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return tls.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def http():
    with HttpSink() as server:
        yield server


@pytest.fixture
def smtp():
    with SmtpSink() as server:
        yield server


@pytest.fixture
def slack(world, http, monkeypatch):
    monkeypatch.setenv("SLACK", f"{http.url}/services/T0/B0/secret")
    http.judge = lambda body: slack_rules.check(json.loads(body))
    world.section = {"slack": [{"name": "chat", "url": {"env": "SLACK"}}]}
    world.attempt = attempt
    return world


@pytest.fixture
def hook(world, http):
    world.section = {"webhook": [{"name": "hook", "url": f"{http.url}/in"}]}
    world.attempt = attempt
    return world


@pytest.fixture
def mail(world, smtp):
    given = {"name": "mail", "host": "127.0.0.1", "port": smtp.port, "tls": "none"}
    given |= {"sender": "Isthmus <isthmus@ex.org>", "to": ["ops@ex.org"]}
    world.section = {"email": [given]}
    world.attempt = attempt
    return world


def patient(world, seconds=0.0):
    world.section["delivery"] = {"patience_s": seconds}
    return world


# --- Slack


def test_slack_gets_blocks_that_it_accepts_and_that_say_it_all(slack, http):
    slack.section["owners"] = [{"locale": "eu-*", "names": ["Ada <b>", "Bo & Co"], "slack": "U012AB"}]
    slack.section["report_link"] = "https://reports.example/{run_id}/{locale}.html"
    assert slack.dispatch(run_of(finding(severity="critical"))).sent == 1
    payload = json.loads(http.taken[0].body)
    slack_rules.check(payload)
    words = "\n".join(block["text"]["text"] for block in payload["blocks"] if "text" in block)
    assert "Ada &lt;b&gt;, Bo &amp; Co <@U012AB>" in words
    assert "Wasserstein distance 2.346 kW, threshold 0.5 kW, n 4032 and 4000" in words
    assert "A fault of the data: a sensor repeats one reading." in words
    assert (
        "since span 3 (1 span), first told 2026-11-21 12:00 UTC, in the data since 2026-11-20T08:00Z" in words
    )
    assert "<https://reports.example/20261121T115900-aaaaaa/eu-west.html|Report>" in words
    assert payload["text"] == "[Isthmus] [critical] eu-west: stuck sensor in load"


def test_slack_within_its_limits_whatever_comes(slack, http):
    """Thirty findings with long names of owners, then a digest of forty such notices."""
    slack.section["owners"] = [{"names": ["<&>" * 26] * 10}]
    kinds, names = ("skew", "serving"), ("load", "starts", "label", "asset", "kind")
    places = itertools.product(kinds, names, ("train", "eval", "(span)"))
    many = [finding(comparison=kind, feature=name, split=split) for kind, name, split in places]
    slack.dispatch(run_of(*many))
    payload = json.loads(http.taken[0].body)
    slack_rules.check(payload)
    assert "and 20 more; the report has all" in http.taken[0].body.decode()
    (file,) = [make_message(slack, *many)]
    for count in (2, 16, 17, 40):
        digest = file.model_copy(update={"kind": "digest", "notices": file.notices * count})
        blocks = slack_payload(digest)
        slack_rules.check(blocks)
        assert len(blocks["blocks"]) <= 50
        assert "more; the report has all" in blocks["blocks"][-2]["elements"][0]["text"]


def make_message(world, *findings):
    """The message that these findings would make."""
    world.folder = world.folder / "other"
    world.folder.mkdir()
    world._loaded.clear()
    kept, world.attempt = world.attempt, world.__class__.attempt.__get__(world)
    world.dispatch(run_of(*findings))
    world.attempt = kept
    return world.sent[-1][1]


def test_slacks_reason_is_told_and_other_answers_are_not(slack, http):
    http.fail(400, body=b"invalid_blocks")
    http.fail(404, body=b"<html>secret /services/T0/B0/secret</html>")
    first, second = (
        slack.dispatch(run_of(finding())),
        slack.dispatch(run_of(finding(locale="pt-BR"), run_id="b")),
    )
    assert "HTTP 400: invalid_blocks; the message was set aside" in first.problems[0]
    assert "secret" not in second.words and "HTTP 404; the message was set aside" in second.problems[0]


SECTION = {"type": "section", "text": {"type": "mrkdwn", "text": "x"}}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"text": ""}, "no_text"),
        ({"text": "a < b & c"}, "invalid_markup"),
        ({"blocks": []}, "invalid_blocks"),
        ({"blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
        ({"blocks": [{**SECTION, "type": "header"}]}, "invalid_blocks"),
        ({"blocks": [{**SECTION, "text": {"type": "mrkdwn", "text": "x" * 3001}}]}, "invalid_blocks"),
        ({"blocks": [{**SECTION, "text": {"type": "mrkdwn", "text": "<!channel>"}}]}, "invalid_markup"),
        ({"channel": "x"}, "invalid_payload"),
    ],
)
def test_the_rules_that_payloads_are_held_against_refuse_what_slack_does(change, reason):
    good = {"text": "x", "blocks": [{"type": "divider"}]}
    slack_rules.check(good)
    with pytest.raises(ValueError, match=reason):
        slack_rules.check({**good, **change})


# --- webhook


def test_the_webhook_gets_the_published_form_signed_and_with_a_key(hook, http, monkeypatch):
    key = base64.b64encode(b"k" * 24).decode()
    monkeypatch.setenv("HMAC", f"whsec_{key}")
    monkeypatch.setenv("TOKEN", "Bearer abc")
    hook.section["webhook"][0] |= {
        "hmac_key": {"env": "HMAC"},
        "headers": {"Authorization": {"env": "TOKEN"}},
    }
    noise = Measurement(
        measure="jensen_shannon_divergence",
        value=0.3,
        unit="bit",
        rule="noise",
        q_value=0.001,
        n=5,
        n_baseline=6,
        null=Null(mean=0.1, limit=0.2, draws=100, blocks=10, block_s=3600.0),
        verdict="ALERT",
    )
    assert hook.dispatch(run_of(finding(measurements=(noise,)))).sent == 1
    (got,) = http.taken
    body = json.loads(got.body)
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(body)
    item = body["notices"][0]["items"][0]
    assert (item["measures"][0]["threshold"], item["measures"][0]["alpha"]) == (0.2, 0.01)
    assert body["summary"] == "[Isthmus] [warning] eu-west: stuck sensor in load"
    assert body["notices"][0]["cause_words"] == "A fault of the data: a sensor repeats one reading."
    signed = f"{got.headers['webhook-id']}.{got.headers['webhook-timestamp']}.".encode() + got.body
    expected = base64.b64encode(hmac.new(b"k" * 24, signed, hashlib.sha256).digest()).decode()
    assert got.headers["webhook-signature"] == f"v1,{expected}"
    assert got.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert got.headers["idempotency-key"] == got.headers["webhook-id"] == body["id"]
    assert got.headers["authorization"] == "Bearer abc"


def test_the_published_form_is_that_of_the_code():
    from pipeline.alerts.schema import published

    assert json.loads(SCHEMA.read_text()) == published()
    jsonschema.Draft202012Validator.check_schema(published())


@pytest.mark.parametrize("status", [500, 503, 429, 408, -1, 400, 401, 404, 410, 302])
def test_what_may_pass_is_kept_and_what_will_not_is_set_aside(hook, http, status):
    kind = "waiting" if status in (500, 503, 429, 408, -1) else "set_aside"
    http.fail(status)
    summary = patient(hook).dispatch(run_of(finding()))
    assert (summary.sent, getattr(summary, kind), len(summary.problems)) == (0, 1, 1)
    assert "\n" not in summary.words and http.url not in summary.words
    hook.later(minutes=5)
    assert hook.flush().sent == (1 if kind == "waiting" else 0)
    assert len({json.loads(request.body)["id"] for request in http.got}) == 1


def test_a_server_that_says_nothing_is_waited_for_no_longer_than_allowed(hook, http):
    http.fail(-2)
    hook.section["webhook"][0]["timeout_s"] = 0.1
    summary = patient(hook).dispatch(run_of(finding()))
    assert summary.waiting == 1 and "cannot be reached (ReadTimeout)" in summary.words


def test_a_server_that_is_not_there(hook):
    hook.section["webhook"][0]["url"] = "http://127.0.0.1:1/"
    assert "cannot be reached (ConnectionError)" in patient(hook).dispatch(run_of(finding())).words


@pytest.mark.parametrize("said", ["120", "Sat, 21 Nov 2026 12:02:00 GMT"])
def test_retry_after_is_honoured(hook, http, said):
    http.fail(429, retry_after=said)
    assert patient(hook, 60).dispatch(run_of(finding())).waiting == 1
    hook.later(seconds=119)
    assert hook.flush().waiting == 1 and len(http.got) == 1
    hook.later(seconds=1)
    assert hook.flush().sent == 1


def test_a_redirect_does_not_carry_the_message_elsewhere(hook, http):
    http.answers.append((307, {"Location": f"{http.url}/elsewhere"}, b""))
    hook.dispatch(run_of(finding()))
    assert [request.path for request in http.got] == ["/in"]


def test_certificates_are_checked_unless_an_authority_is_named(hook, certificates):
    authority, server = certificates
    with HttpSink(certificate=server) as secure:
        hook.section["webhook"][0]["url"] = secure.url
        assert "its certificate is not trusted" in patient(hook).dispatch(run_of(finding())).words
        assert secure.got == []
        hook.section["webhook"][0]["ca_file"] = str(authority)
        hook.later(minutes=1)
        assert hook.flush().sent == 1 and len(secure.taken) == 1


def test_a_proxy_that_is_named_is_used_and_the_environments_is_not(hook, http, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    assert hook.dispatch(run_of(finding())).sent == 1
    hook.section["webhook"][0] |= {"url": "http://hook.invalid/x", "proxy": http.url}
    hook.dispatch(run_of(finding(locale="pt-BR"), run_id="b"))
    assert [request.path for request in http.taken] == ["/in", "http://hook.invalid/x"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "environment variable HOOK is not set"),
        ("http://hook.example/x?token=s3cr3t", "holds a secret http:// address"),
        ("s3cr3t", "holds no address"),
    ],
)
def test_a_secret_that_is_not_usable_loses_no_message_and_is_not_shown(hook, monkeypatch, http, value, words):
    monkeypatch.delenv("HOOK", raising=False)
    if value:
        monkeypatch.setenv("HOOK", value)
    hook.section = {"webhook": [{"name": "hook", "secret_url": {"env": "HOOK"}}]}
    summary = patient(hook).dispatch(run_of(finding()))
    assert summary.waiting == 1 and words in summary.words and "s3cr3t" not in summary.words
    monkeypatch.setenv("HOOK", http.url)
    hook.later(minutes=1)
    assert hook.flush().sent == 1


# --- e-mail


def test_the_mail_has_both_parts_and_says_it_all(mail, smtp):
    mail.section["owners"] = [{"names": ["Ada <i>"], "address": "ada@ex.org"}]
    mail.section["email"][0]["to_owners"] = True
    mail.section["report_link"] = "https://reports.example"
    assert mail.dispatch(run_of(finding())).sent == 1
    (got,) = smtp.got
    assert (got.sender, got.to) == ("isthmus@ex.org", ["ops@ex.org", "ada@ex.org"])
    found = got.message
    assert found["Subject"] == "[Isthmus] [warning] eu-west: stuck sensor in load"
    assert (found["From"], found["To"]) == ("Isthmus <isthmus@ex.org>", "ops@ex.org, ada@ex.org")
    assert found["Date"] == "Sat, 21 Nov 2026 12:00:00 +0000" and found["Auto-Submitted"] == "auto-generated"
    text = found.get_body(("plain",)).get_content()
    html = found.get_body(("html",)).get_content()
    for part in (text, html):
        for words in ("distance 2.346 kW, threshold 0.5 kW", "a sensor repeats one reading", "since span 3"):
            assert words in part
    assert "Ada <i>" in text and "Ada &lt;i&gt;" in html
    assert 'href="https://reports.example/20261121T115900-aaaaaa"' in html
    assert not re.search(r"<(?:script|img|link)|src=", html)


def test_owners_get_mail_only_where_that_is_asked_for(mail, smtp):
    mail.section["owners"] = [{"names": ["Ada"], "address": "ada@ex.org"}]
    mail.dispatch(run_of(finding()))
    assert smtp.got[0].to == ["ops@ex.org"] and "Owner: Ada" in smtp.got[0].message.get_body().as_string()


def test_an_alert_and_its_end_are_one_thread(mail, smtp):
    mail.dispatch(run_of(finding()))
    mail.dispatch(run_of(finding(span=4, verdict="OK"), run_id="b", span=4))
    first, last = (got.message for got in smtp.got)
    assert first["References"] is None and first["Message-ID"] != last["Message-ID"]
    assert last["References"] == last["In-Reply-To"] == first["Message-ID"]
    assert last["Subject"].startswith("[Isthmus] [resolved]")


def test_no_line_break_gets_into_a_header():
    from pipeline.alerts.mail import email_of
    from pipeline.alerts.message import Message, Notice
    from pipeline.config.alerts_mail import MailChannel

    bad = "x\r\nBcc: evil@ex.org\n\n<script>"
    notice = Notice(
        kind="alert",
        incident=1,
        thread="t",
        locale=bad,
        cause="unknown",
        severity="info",
        since=NOW.isoformat(),
        at=NOW.isoformat(),
        total=1,
        report=bad,
    )
    message = Message(
        id="i", kind="alert", deployment=bad, at=NOW.isoformat(), severity="info", notices=(notice,)
    )
    channel = MailChannel(name="m", host="h", sender="a@ex.org", to=("b@ex.org",))
    raw = bytes(email_of(channel, message, ("b@ex.org", "c@ex.org\r\nBcc: d@ex.org"), NOW))
    head, _, body = raw.partition(b"\r\n\r\n")
    assert not re.search(rb"(?m)^bcc", head, re.I) and b"d@ex.org" not in raw
    assert b"<script>" not in body.split(b"text/html")[1]


def test_a_mail_is_seven_bits_in_short_lines(mail, smtp):
    mail.section["owners"] = [{"names": ["Zoë " + "ü" * 70] * 10}]
    mail.dispatch(run_of(finding()))
    raw = smtp.got[0].raw
    assert raw.isascii() and max(map(len, raw.split(b"\r\n"))) <= 100
    assert "Zoë ü" in smtp.got[0].message.get_body(("plain",)).get_content()


@pytest.mark.parametrize("kind", ["email", "webhook"])
def test_a_file_of_authorities_that_is_none_is_said(mail, http, kind, tmp_path):
    hook = {"name": "hook", "url": http.url}
    mail.section = {kind: [{**(hook if kind == "webhook" else mail.section["email"][0])}]}
    mail.section[kind][0]["ca_file"] = str(tmp_path / "none.pem")
    mail.section[kind][0] |= {"tls": "starttls"} if kind == "email" else {}
    summary = patient(mail).dispatch(run_of(finding()))
    assert summary.waiting == 1 and "none.pem: no" in summary.words


def test_a_password_that_smtp_cannot_carry_is_said_and_not_shown(mail, monkeypatch, smtp):
    monkeypatch.setenv("USER_", "isthmus")
    monkeypatch.setenv("PASS_", "s3cr3tü")
    mail.section["email"][0] |= {"user": {"env": "USER_"}, "password": {"env": "PASS_"}}
    summary = patient(mail).dispatch(run_of(finding()))
    assert summary.waiting == 1 and "PASS_ is not ASCII" in summary.words and "s3cr3t" not in summary.words


@pytest.mark.parametrize("mode", ["starttls", "tls"])
def test_mail_over_tls_with_a_login(mail, certificates, monkeypatch, mode):
    authority, server = certificates
    monkeypatch.setenv("USER_", "isthmus")
    monkeypatch.setenv("PASS_", "pa ss")
    with SmtpSink(certificate=server, implicit=mode == "tls", login=("isthmus", "pa ss")) as secure:
        login = {"user": {"env": "USER_"}, "password": {"env": "PASS_"}}
        mail.section["email"][0] |= {"port": secure.port, "tls": mode, **login}
        assert "its certificate is not trusted" in patient(mail).dispatch(run_of(finding())).words
        assert secure.got == [] and "AUTH" not in secure.said
        mail.section["email"][0]["ca_file"] = str(authority)
        mail.later(minutes=1)
        assert mail.flush().sent == 1
        assert (secure.got[0].encrypted, secure.got[0].user) == (True, "isthmus")
        monkeypatch.setenv("PASS_", "wrong")
        mail.dispatch(run_of(finding(locale="pt-BR"), run_id="b"))
        assert len(secure.got) == 1


def test_where_starttls_is_not_offered_nothing_is_said_in_the_clear(mail, smtp):
    mail.section["email"][0]["tls"] = "starttls"
    summary = patient(mail).dispatch(run_of(finding()))
    assert summary.waiting == 1 and "does not offer" in summary.words
    assert smtp.got == [] and not any(line.startswith(("MAIL", "AUTH")) for line in smtp.said)


@pytest.mark.parametrize(
    ("verb", "answer", "kind"),
    [
        ("MAIL", "451 later", "waiting"),
        ("DATA", "552 too much", "set_aside"),
        ("RCPT", "450 busy", "waiting"),
        ("RCPT", "550 nobody", "set_aside"),
        ("EHLO", "", "waiting"),
        ("DATA", "", "waiting"),
    ],
)
def test_what_a_mail_server_may_answer(mail, smtp, verb, answer, kind):
    smtp.replies[verb] = [answer]
    summary = patient(mail).dispatch(run_of(finding()))
    assert (summary.sent, getattr(summary, kind)) == (0, 1)
    mail.later(minutes=1)
    assert mail.flush().sent == (1 if kind == "waiting" else 0)


def test_mailboxes_that_were_refused_for_now_are_the_only_ones_that_get_it_again(mail, smtp):
    mail.section["email"][0]["to"] = ["a@ex.org", "b@ex.org", "c@ex.org"]
    smtp.refused = {"b@ex.org": "450 busy", "c@ex.org": "550 nobody"}
    assert patient(mail).dispatch(run_of(finding())).waiting == 1
    del smtp.refused["b@ex.org"]
    mail.later(minutes=1)
    assert mail.flush().set_aside == 1
    assert [got.to for got in smtp.got] == [["a@ex.org"], ["b@ex.org"]]
    (file,) = (mail.folder / "root" / "alerts" / "failed").iterdir()
    assert json.loads(file.read_text())["to"] == ["c@ex.org"]


def test_the_clock_is_not_this_machines(hook, http):
    hook.later(days=400)
    hook.dispatch(run_of(finding()))
    stamp = int(http.taken[0].headers["webhook-timestamp"])
    assert stamp == int((NOW + timedelta(days=400)).timestamp())
