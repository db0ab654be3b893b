"""A POST of JSON, and what its answer means for the message."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import requests

from components.errors import ConfigError
from components.secrets import SecretRef
from components.version import __version__
from pipeline.alerts.outgoing import Outcome, retry_after_s
from pipeline.config.alerts_parts import HttpChannel, address
from pipeline.hosts import is_here

#: Answers that another attempt may change: RFC 9110, RFC 6585 (429), RFC 8470 (425).
_PASSING = (408, 425, 429)
#: Slack says why in such a word (`invalid_payload`, `channel_is_archived`); other answers are not repeated.
_REASON = re.compile(rb"[a-z]+(?:_[a-z]+){0,6}\Z")
_MOST_REASON = 64


def post(
    channel: HttpChannel,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    now: datetime,
    *,
    reasons: bool = False,
) -> Outcome:
    """Sends a body once; redirects are not followed, and neither URL nor answer goes into words.

    Args:
      channel: Timeout, authorities, proxy.
      url: Checked already.
      body: JSON.
      headers: Beside ours.
      now: For a `Retry-After` that is a date.
      reasons: Whether a one-word answer is part of the outcome's words.

    Raises:
      ConfigError: the file of authorities is not there.
    """
    if channel.ca_file is not None and not Path(channel.ca_file).is_file():
        where = f"alerts: channel {channel.name}: ca_file {channel.ca_file}"
        raise ConfigError(f"{where}: no such file; allowed: a PEM file")
    session = requests.Session()
    # Neither a .netrc nor a proxy of the environment must see what is sent.
    session.trust_env = False
    if channel.proxy is not None:
        session.proxies = {"http": channel.proxy, "https": channel.proxy}
    framing = {"Content-Type": "application/json", "User-Agent": f"isthmus/{__version__}"}
    try:
        with session.post(
            url,
            data=body,
            headers={**framing, **headers},
            timeout=(channel.timeout_s, channel.timeout_s),
            verify=channel.ca_file or True,
            allow_redirects=False,
            stream=True,
        ) as response:
            reason = _reason(response) if reasons and not response.ok else ""
            return _judge(response, reason, now)
    except requests.exceptions.SSLError:
        return Outcome("later", "its certificate is not trusted; name its authority: ca_file")
    except (requests.RequestException, OSError, ValueError) as error:
        return Outcome("later", f"cannot be reached ({type(error).__name__})")
    finally:
        session.close()


def secret_address(secret: SecretRef, what: str) -> str:
    """An address that is a secret.

    Raises:
      ConfigError: it cannot be read, is no address, or would go over an open network in the clear; the
        message names the place of the secret only.
    """
    text = secret.read().decode("utf-8", "replace")
    try:
        parts = address(text)
    except ValueError:
        raise ConfigError(f"{what}: {secret} holds no address; allowed: https://HOST/PATH") from None
    if parts.scheme == "http" and not is_here(parts.hostname or ""):
        raise ConfigError(
            f"{what}: {secret} holds a secret http:// address; allowed: https://, or this machine"
        )
    return text


def _judge(response: requests.Response, reason: str, now: datetime) -> Outcome:
    status = response.status_code
    words = f"HTTP {status}" + (f": {reason}" if reason else "")
    if 200 <= status < 300:
        return Outcome("sent", words)
    if status in _PASSING or status >= 500:
        return Outcome("later", words, retry_after_s(response.headers.get("Retry-After"), now))
    if 300 <= status < 400:
        return Outcome("never", f"{words}: a redirect is not followed; name the new address")
    return Outcome("never", words)


def _reason(response: requests.Response) -> str:
    try:
        found = response.raw.read(_MOST_REASON + 1) or b""
    except Exception:  # urllib3's own types; the status is what counts
        return ""
    found = found.strip()
    return found.decode() if len(found) <= _MOST_REASON and _REASON.match(found) else ""
