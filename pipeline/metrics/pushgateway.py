"""Pushes groups to a Prometheus Pushgateway.

Source of the protocol: README of prometheus/pushgateway, `PUT /metrics/job/JOB{/LABEL/VALUE}`; a PUT replaces
all metrics of its group.
"""

from __future__ import annotations

import base64
import re
from urllib.parse import urlsplit

import requests
import urllib3
from prometheus_client import CONTENT_TYPE_LATEST
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth

from components.errors import ConfigError, DataError
from components.secrets import SecretRef
from pipeline.config.metrics import PushgatewaySection
from pipeline.metrics.catalogue import DEPLOYMENT, ZONE
from pipeline.metrics.render import render
from pipeline.metrics.samples import Group

_RETRIED = (429, 500, 502, 503, 504)
_PLAIN = re.compile(r"[A-Za-z0-9_.-]+")


def push(gateway: PushgatewaySection, groups: list[Group], backoff_s: float = 0.5) -> None:
    """Replaces each group at the gateway.

    Args:
      gateway: Address and credentials.
      groups: Each under the grouping key `job`, `deployment` and, where it has one, `zone`.
      backoff_s: Unit of the growing pause between attempts, in seconds.

    Raises:
      ConfigError: a secret cannot be read.
      DataError: the gateway cannot be reached, or refuses.
    """
    with _session(gateway, backoff_s) as session:
        for group in groups:
            _put(session, gateway, group)


def grouping_path(job: str, group: Group) -> str:
    """The path of a group: names as they are, other text in URL-safe base64 (RFC 4648, section 5)."""
    labels = {"job": job, DEPLOYMENT: group.deployment} | ({ZONE: group.zone} if group.zone else {})
    return "/metrics/" + "/".join(_pair(name, value) for name, value in labels.items())


def _pair(name: str, value: str) -> str:
    if _PLAIN.fullmatch(value) and value not in (".", ".."):
        return f"{name}/{value}"
    return f"{name}@base64/{base64.urlsafe_b64encode(value.encode()).decode().rstrip('=')}"


def _session(gateway: PushgatewaySection, backoff_s: float) -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # a .netrc or a proxy of the machine must not get the secret
    session.headers["Content-Type"] = CONTENT_TYPE_LATEST
    if gateway.token is not None:
        session.headers["Authorization"] = f"Bearer {_secret(gateway.token)}"
    elif gateway.username is not None and gateway.password is not None:
        name, password = gateway.username.encode(), _secret(gateway.password).encode()
        session.auth = HTTPBasicAuth(name, password)
    if gateway.ca_file is not None:
        session.verify = gateway.ca_file
    # A PUT replaces what is there: it may be sent twice.
    retry = urllib3.Retry(
        total=gateway.attempts - 1,
        status_forcelist=_RETRIED,
        allowed_methods=None,
        backoff_factor=backoff_s,
        raise_on_status=False,
        respect_retry_after_header=False,  # a run does not wait for as long as a server likes
        redirect=False,
    )
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


def _secret(reference: SecretRef) -> str:
    text = reference.read().decode("utf-8", "replace")
    if not text.isprintable():
        raise ConfigError(f"metrics.pushgateway: {reference}: holds more than one line of text")
    return text


def _put(session: requests.Session, gateway: PushgatewaySection, group: Group) -> None:
    place = f"pushgateway {urlsplit(gateway.url).netloc}"
    try:
        answer = session.put(
            gateway.url + grouping_path(gateway.job, group),
            data=render([group]),
            timeout=gateway.timeout_s,
            allow_redirects=False,
        )
    except (requests.RequestException, OSError) as error:
        reason = _reason(error)
        raise DataError(f"{place}: cannot be reached ({reason}) in {gateway.attempts} attempts") from None
    if answer.status_code in (401, 403):
        raise DataError(f"{place}: HTTP {answer.status_code}; the credentials are not accepted there")
    if not answer.ok or answer.is_redirect:
        said = ascii(" ".join(answer.text[:400].split()))[1:161].rstrip("'")
        raise DataError(
            f"{place}: group '{group.zone or 'run'}': HTTP {answer.status_code}{f': {said}' if said else ''}"
        )


def _reason(error: Exception) -> str:
    """What went wrong, without the address, which urllib3 repeats at length."""
    for known in (requests.exceptions.SSLError, requests.exceptions.Timeout):
        if isinstance(error, known):
            return known.__name__
    if isinstance(error, requests.exceptions.ConnectionError):
        return "ConnectionError"
    return type(error).__name__
