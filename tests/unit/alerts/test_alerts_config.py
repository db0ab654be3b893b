"""The section `alerts`: what it gives, and what cannot be, refused in one line with exit status 2."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from components.errors import ConfigError
from pipeline.alerts.routing import channels_of, owner_of, report_address
from pipeline.config.alerts import AlertsSection
from pipeline.config.load import load_deployment
from tests.support import deployments

SLACK = {"name": "chat", "url": {"env": "SLACK"}}
HOOK = {"name": "hook", "url": "https://hook.example/in"}
MAIL = {"name": "mail", "host": "mail.example", "sender": "a@ex.org", "to": ["b@ex.org"]}
QUIET = {"time_zone": "Europe/Berlin", "windows": [{"begin": "20:00", "end": "07:00"}]}


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """Loads the golden deployment, less what takes long, with a section."""
    folder = tmp_path_factory.mktemp("deployment")

    def loaded(section, change=None):
        data = deployments.golden()
        data["alerts"] = section
        if change:
            change(data)
        return load_deployment(deployments.written(folder, data)).alerts

    loaded.folder = folder
    return loaded


def test_a_whole_section(load):
    section = yaml.safe_load(example())["alerts"]
    found = load(section)
    assert list(found.channels) == ["chat", "hook", "mail"]
    assert found.email[0].real_port == 587
    assert found.webhook[0].ca_file == str(load.folder / "keys/authority.pem")
    assert found.email[0].password.file == str(load.folder / "keys/smtp.secret")
    assert AlertsSection.from_exec_property(found.to_exec_property()) == found


def example() -> str:
    page = Path(__file__).parents[3] / "docs" / "alerts.md"
    return page.read_text().split("```yaml\n")[1].split("```")[0]


def test_secrets_state_and_headers_are_relative_to_the_file(load):
    headers = {"X-Token": {"file": "t.secret"}}
    found = load(
        {
            "slack": [{**SLACK, "url": {"file": "s.secret"}}],
            "webhook": [{**HOOK, "headers": headers}],
            "state": "kept",
        }
    )
    assert found.slack[0].url.file == str(load.folder / "s.secret")
    assert found.webhook[0].headers["X-Token"].file == str(load.folder / "t.secret")
    assert found.state == str(load.folder / "kept")
    assert load({"slack": [SLACK], "state": "s3://bucket/alerts"}).state == "s3://bucket/alerts"


def chat(**changes):
    return {"slack": [{**SLACK, **changes}]}


def hook(**changes):
    return {"webhook": [{**HOOK, **changes}]}


def mail(**changes):
    return {"email": [{**MAIL, **changes}]}


def route(**changes):
    return {"slack": [SLACK], "routes": [{"channels": ["chat"], **changes}]}


def owner(**changes):
    return {"slack": [SLACK], "owners": [{"names": ["Ada"], **changes}]}


def quiet(**changes):
    return {"slack": [SLACK], "quiet_hours": {**QUIET, **changes}}


A_SECRET = {"env": "X"}
WHOLE_DAY = [{"begin": "07:00", "end": "07:00"}]


@pytest.mark.parametrize(
    ("section", "words"),
    [
        (route(channels=["chatt"]), "'chatt' is no channel (did you mean 'chat'?); allowed: chat"),
        ({"routes": [{"channels": ["chat"]}]}, "allowed: none, since no channel is configured"),
        ({"slack": [SLACK, SLACK]}, "channel 'chat' is named twice"),
        ({**chat(), **mail(name="chat")}, "channel 'chat' is named twice"),
        (chat(url="https://hooks.slack.com/services/T/B/x"), "never the secret itself"),
        (chat(name="no spaces"), "alerts.slack[0].name"),
        (hook(url=None), "found neither of url and secret_url"),
        (hook(secret_url=A_SECRET), "found both of url and secret_url"),
        (
            hook(url="http://hook.example", headers={"A": A_SECRET}),
            "http:// to hook.example with secret headers; allowed: https://",
        ),
        (hook(url="https://u:s3cr3t@hook.example"), "may be a secret; allowed: secret_url"),
        (hook(url="https://hook.example?token=s3cr3t"), "may be a secret; allowed: secret_url"),
        (hook(url="ftp://hook.example"), "no address; allowed: https://HOST"),
        (hook(url="https://hook.example/ x"), "no address"),
        (hook(headers={"Content-Length": A_SECRET}), "'Content-Length' cannot be set"),
        (hook(headers={"A: b\r\nC": A_SECRET}), "cannot be set"),
        (hook(proxy="http://u:s3cr3t@proxy"), "proxy: holds a user"),
        (mail(user=A_SECRET), "found one of user and password"),
        (mail(tls="none", user=A_SECRET, password=A_SECRET), "tls: none with a password for mail.example"),
        (mail(to=[]), "to: found nobody"),
        (mail(to=["b@ex.org\r\nBcc: c@ex.org"]), "to[0]: no mailbox"),
        (mail(sender="nobody"), "sender: no mailbox"),
        (mail(sender="A\r\nBcc: c@ex.org <a@ex.org>"), "sender: found"),
        (mail(tls="ssl"), "alerts.email[0].tls"),
        (
            {"slack": [SLACK], "quiet_hours": {"windows": WHOLE_DAY}},
            "alerts.quiet_hours.time_zone: missing; it has no default",
        ),
        (quiet(time_zone="Berlin"), "not known on this machine; allowed: an IANA name"),
        (quiet(windows=[{"begin": "20:00", "end": "7"}]), "windows[0].end"),
        (quiet(windows=WHOLE_DAY), "cover the whole week"),
        (quiet(windows=[]), "windows"),
        (route(locales=["eu-wst"]), "alerts.routes[0].locales: 'eu-wst' fits no locale (did you mean"),
        (route(features=["lod"]), "fits no feature (did you mean 'load'?)"),
        (route(causes=["stuck"]), "causes[0]"),
        (owner(locale="mars-*"), "alerts.owners[0].locale: 'mars-*' fits no locale"),
        (owner(names=[]), "owners[0].names"),
        (owner(names=["A\nB"]), "one printable line"),
        (owner(slack="<!channel>"), "slack: no member or group"),
        (owner(address="x"), "address: no e-mail address"),
        ({**chat(), "minimum_severity": "bad"}, "minimum_severity"),
        ({**chat(), "repeat_h": 0}, "repeat_h"),
        ({**chat(), "report_link": "reports"}, "report_link: no address"),
        ({**chat(), "report_link": "https://r.example/{run}"}, "unknown {run}; allowed: {run_id}, {locale}"),
        ({**chat(), "report_link": "https://u:s3cr3t@r.example"}, "report_link: holds a user"),
        ({"slak": [SLACK]}, "unknown key (did you mean 'slack'?)"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(load, section, words):
    with pytest.raises(ConfigError) as caught:
        load(section)
    assert words in str(caught.value) and "\n" not in str(caught.value) and "s3cr3t" not in str(caught.value)
    assert caught.value.exit_status == 2 and "isthmus.yaml:" in str(caught.value)


def test_a_locale_where_the_state_would_be_is_refused(load):
    def rename(data):
        data["locales"][2]["name"] = "alerts"

    with pytest.raises(ConfigError, match="the locale 'alerts' has that folder"):
        load({"slack": [SLACK]}, rename)
    assert load({"slack": [SLACK], "state": "elsewhere"}, rename).state


def test_http_to_this_machine_may_carry_secrets(load):
    for host in ("localhost", "127.0.0.1:8080", "[::1]"):
        load({"webhook": [{**HOOK, "url": f"http://{host}/", "headers": {"A": {"env": "X"}}}]})
    login = {"user": {"env": "U"}, "password": {"env": "P"}}
    load({"email": [{**MAIL, "host": "127.0.0.1", "tls": "none", **login}]})


def section_of(**given):
    return AlertsSection.model_validate({"slack": [SLACK], "webhook": [HOOK], "email": [MAIL], **given})


def test_a_finding_goes_to_the_channels_of_every_route_that_it_fits():
    routes = [
        {"channels": ["mail"], "minimum_severity": "info"},
        {"channels": ["chat"], "locales": ["eu-*"], "features": ["lo*", "(all)"]},
        {"channels": ["hook"], "minimum_severity": "critical", "causes": ["stuck_sensor"]},
    ]
    found = section_of(routes=routes, minimum_severity="info")
    assert channels_of(found, "eu-west", "load", "stuck_sensor", "critical") == ("chat", "hook", "mail")
    assert channels_of(found, "eu-west", "load", "clock_shift", "critical") == ("chat", "mail")
    assert channels_of(found, "eu-west", "load", "stuck_sensor", "warning") == ("chat", "mail")
    assert channels_of(found, "pt-BR", "load", "unknown", "warning") == ("mail",)
    assert channels_of(found, "eu-west", "starts", "unknown", "info") == ("mail",)
    assert channels_of(section_of(routes=routes[2:]), "eu-west", "load", "unknown", "critical") == ()
    assert channels_of(section_of(), "pt-BR", "load", "unknown", "warning") == ("chat", "hook", "mail")
    assert channels_of(section_of(), "pt-BR", "load", "unknown", "info") == ()


def test_the_first_owner_that_fits_is_the_one():
    owners = [
        {"locale": "eu-*", "feature": "load", "names": ["Ada"]},
        {"locale": "eu-*", "names": ["Bo"]},
        {"feature": "l*", "names": ["Cy"]},
    ]
    found = section_of(owners=owners)
    named = [
        owner_of(found, *of) for of in (("eu-west", "load"), ("eu-west", "x"), ("us", "load"), ("us", "x"))
    ]
    assert [owner.names[0] if owner else None for owner in named] == ["Ada", "Bo", "Cy", None]


def test_the_reports_address_is_filled_in():
    assert report_address("https://r.example/", "run-1", "eu-west") == "https://r.example/run-1"
    both = report_address("https://r.example/{run_id}/{locale}.html", "a/b", "x y")
    assert both == "https://r.example/a%2Fb/x%20y.html"
    assert report_address("", "run-1", "eu-west") == ""


def test_what_the_starter_shows_as_a_comment_is_valid():
    folder = Path(__file__).parents[3] / "pipeline" / "templates"
    lines = (folder / "isthmus.yaml.j2").read_text().splitlines()
    begin = lines.index("# alerts:")
    shown = yaml.safe_load("\n".join(line.removeprefix("# ") for line in lines[begin : begin + 2]))
    assert list(AlertsSection.model_validate(shown["alerts"]).channels) == ["chat"]
