"""The deployment's `alerts` section: who is told of what, where, and when. Imports no TFX.

Secrets stand here by reference only; an address that is itself a secret (a Slack webhook's) is one of them.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection
from typing import Annotated, Union

import pydantic

from components.config_base import ComponentConfig
from components.drift.findings import ALL_FEATURES, CauseName, Severity
from components.errors import list_briefly, nearest_name
from components.release.options import DEFAULT_OPTIONS, StorageOptions
from components.secrets import SecretRef
from pipeline.config.alerts_mail import MailChannel
from pipeline.config.alerts_parts import MAILBOX, HttpChannel, address, one_line
from pipeline.config.alerts_quiet import QuietHours
from pipeline.hosts import is_here

#: Folder of the state below the deployment's root, where the section names none.
STATE_FOLDER = "alerts"
#: Header names of RFC 9110 (token); ours and those that frame the request may not be set.
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}\Z")
_OWN_HEADERS = {
    "connection",
    "content-length",
    "content-type",
    "host",
    "idempotency-key",
    "transfer-encoding",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
}
_SLACK_HANDLE = re.compile(r"(?:[UWS][A-Z0-9]{2,20}|@[A-Za-z0-9._-]{1,40})\Z")
_PLACEHOLDERS = {"run_id", "locale"}
#: Ways to write "any".
Patterns = tuple[Annotated[str, pydantic.Field(min_length=1, max_length=200)], ...]


class SlackChannel(HttpChannel):
    """A Slack incoming webhook.

    Attributes:
      url: Where its address is; the address is the secret.
    """

    url: SecretRef


class WebhookChannel(HttpChannel):
    """Any HTTP server that takes JSON (`schemas/alerts/alert-1.schema.json`).

    Attributes:
      url: Its address, without a query; or
      secret_url: where the address is, if it holds a token.
      hmac_key: Key of the signature header (Standard Webhooks: base64 after `whsec_`, or any text).
      headers: Further headers, values by reference: `{Authorization: {env: NAME}}`.
    """

    url: str | None = None
    secret_url: SecretRef | None = None
    hmac_key: SecretRef | None = None
    headers: dict[str, SecretRef] = {}

    @pydantic.model_validator(mode="after")
    def _check_address(self) -> WebhookChannel:
        if (self.url is None) == (self.secret_url is None):
            found = "neither" if self.url is None else "both"
            raise ValueError(f"found {found} of url and secret_url; allowed: exactly one")
        for name in self.headers:
            if not _HEADER.match(name) or name.lower() in _OWN_HEADERS:
                raise ValueError(
                    f"headers: {name[:64]!r} cannot be set; allowed: a header name that is not ours"
                )
        if self.url is None:
            return self
        parts = address(self.url)
        if parts.username or parts.password or parts.query:
            raise ValueError(
                "url: holds a user or a query, which may be a secret; allowed: secret_url: {env: NAME}"
            )
        if parts.scheme == "http" and self.headers and not is_here(parts.hostname or ""):
            raise ValueError(
                f"url: http:// to {parts.hostname} with secret headers; allowed: https://, or this machine"
            )
        return self


class RouteSection(ComponentConfig):
    """Which findings go to which channels. A finding goes to the channels of every route that it fits.

    Attributes:
      channels: Names of channels.
      minimum_severity: Lowest severity; null takes the section's.
      locales: Patterns of locale names (`eu-*`); one has to fit.
      features: Patterns of feature names; `(all)` is the name of what concerns all of them.
      causes: Causes; empty takes all.
    """

    channels: tuple[str, ...] = pydantic.Field(min_length=1)
    minimum_severity: Severity | None = None
    locales: Patterns = ("*",)
    features: Patterns = ("*",)
    causes: tuple[CauseName, ...] = ()


class OwnerSection(ComponentConfig):
    """Whose a locale's feature is. The first entry that fits counts.

    Attributes:
      locale: Pattern of locale names.
      feature: Pattern of feature names.
      names: Of people or teams.
      slack: Member id (`U…`), user group id (`S…`), both of which Slack notifies; or `@handle`, shown only.
      address: For e-mail.
    """

    locale: str = pydantic.Field(default="*", min_length=1)
    feature: str = pydantic.Field(default="*", min_length=1)
    names: tuple[str, ...] = pydantic.Field(min_length=1, max_length=10)
    slack: str = ""
    address: str = ""

    @pydantic.model_validator(mode="after")
    def _check_person(self) -> OwnerSection:
        for name in self.names:
            one_line("names", name)
        if self.slack and not _SLACK_HANDLE.match(self.slack):
            raise ValueError(
                "slack: no member or group; allowed: U0123ABCD, S0123ABCD (ids of Slack), or @handle"
            )
        if self.address and not MAILBOX.match(self.address):
            raise ValueError("address: no e-mail address; allowed: name@host")
        return self


class FlappingSection(ComponentConfig):
    """What counts as coming and going, and how it is damped.

    Attributes:
      starts: From this many starts within the window on, a finding is flapping.
      window_h: The window, in hours.
      clear_after: Spans in a row without an alert that end a flapping finding.
    """

    starts: int = pydantic.Field(default=3, ge=2, le=100)
    window_h: float = pydantic.Field(default=7 * 24.0, gt=0)
    clear_after: int = pydantic.Field(default=3, ge=1, le=100)


class DeliverySection(ComponentConfig):
    """Patience with servers that do not answer.

    Attributes:
      first_pause_s: Longest pause before the second attempt; it doubles with each further one.
      longest_pause_s: No pause is longer, unless the server asks for more (`Retry-After`, at most a day).
      patience_s: How long a run waits at its end for a message to get through; the rest stays in the outbox.
      give_up_h: Age at which a message is set aside as undeliverable.
    """

    first_pause_s: float = pydantic.Field(default=2.0, gt=0, le=3600)
    longest_pause_s: float = pydantic.Field(default=3600.0, gt=0, le=86400)
    patience_s: float = pydantic.Field(default=15.0, ge=0, le=600)
    give_up_h: float = pydantic.Field(default=72.0, gt=0, le=24 * 90)


class AlertsSection(ComponentConfig):
    """Who is told of what monitoring found.

    Attributes:
      slack: Slack incoming webhooks.
      webhook: HTTP servers that take JSON.
      email: Mailboxes.
      minimum_severity: What is less severe is told to nobody.
      routes: Which findings go where; none sends everything to every channel.
      owners: Whose what is.
      quiet_hours: When not to disturb; null for never.
      repeat_h: Hours after which what still holds is told again; null for never.
      clear_after: Spans in a row without an alert that end one.
      flapping: What comes and goes.
      delivery: Patience with servers.
      report_link: Address of the published reports. `{run_id}` and `{locale}` are filled in; without any,
        `/{run_id}` is added.
      state: Folder or URI of state and outbox; null is `<root>/alerts`.
      state_storage_options: How to reach it, where it is an object store.
    """

    slack: tuple[SlackChannel, ...] = ()
    webhook: tuple[WebhookChannel, ...] = ()
    email: tuple[MailChannel, ...] = ()
    minimum_severity: Severity = "warning"
    routes: tuple[RouteSection, ...] = ()
    owners: tuple[OwnerSection, ...] = ()
    quiet_hours: QuietHours | None = None
    repeat_h: float | None = pydantic.Field(default=24.0, gt=0)
    clear_after: int = pydantic.Field(default=1, ge=1, le=100)
    flapping: FlappingSection = FlappingSection()
    delivery: DeliverySection = DeliverySection()
    report_link: str = ""
    state: str | None = pydantic.Field(default=None, min_length=1)
    state_storage_options: StorageOptions = DEFAULT_OPTIONS

    @property
    def channels(self) -> dict[str, Channel]:
        """Every channel by its name, in the order of the file."""
        found: list[Channel] = [*self.slack, *self.webhook, *self.email]
        return {channel.name: channel for channel in found}

    @pydantic.model_validator(mode="after")
    def _check_together(self) -> AlertsSection:
        names = [channel.name for channel in (*self.slack, *self.webhook, *self.email)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"channel '{twice[0]}' is named twice; allowed: each name once")
        for i, route in enumerate(self.routes):
            for name in route.channels:
                if name not in names:
                    allowed = list_briefly(names) or "none, since no channel is configured"
                    raise ValueError(
                        f"routes[{i}].channels: '{name[:60]}' is no channel{nearest_name(name, names)}; "
                        f"allowed: {allowed}"
                    )
        if self.report_link:
            parts = address(self.report_link, "report_link")
            if parts.username or parts.password:
                raise ValueError("report_link: holds a user, and goes into every message; allowed: none")
            if unknown := set(re.findall(r"\{(.*?)\}", self.report_link)) - _PLACEHOLDERS:
                raise ValueError(f"report_link: unknown {{{min(unknown)}}}; allowed: {{run_id}}, {{locale}}")
        return self


Channel = Union[SlackChannel, WebhookChannel, MailChannel]
NO_ALERTS = AlertsSection()


def check_names(alerts: AlertsSection, locales: Collection[str], features: Collection[str]) -> None:
    """Checks that each pattern fits something.

    Args:
      alerts: The section.
      locales: Names of the locales.
      features: Names of the features.

    Raises:
      ValueError: a pattern fits no locale or no feature; or a locale's folder is where the state would be.
    """
    known = {"locale": list(locales), "feature": [*features, ALL_FEATURES]}
    given = [
        (f"routes[{i}].{what}s", what, pattern)
        for i, route in enumerate(alerts.routes)
        for what, patterns in (("locale", route.locales), ("feature", route.features))
        for pattern in patterns
    ]
    for i, owner in enumerate(alerts.owners):
        given += [(f"owners[{i}].locale", "locale", owner.locale)]
        given += [(f"owners[{i}].feature", "feature", owner.feature)]
    for place, what, pattern in given:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in known[what]):
            raise ValueError(
                f"alerts.{place}: '{pattern[:60]}' fits no {what}{nearest_name(pattern, known[what])}; "
                f"allowed: a name or a pattern of {list_briefly(known[what])}"
            )
    if alerts.channels and alerts.state is None and STATE_FOLDER in {name.lower() for name in locales}:
        raise ValueError(
            f"alerts.state: the locale '{STATE_FOLDER}' has that folder; allowed: a folder or URI elsewhere"
        )
