"""A generic webhook: the message's own JSON, signed where a key is given.

The headers are those of Standard Webhooks 1.0 (standardwebhooks.com): `webhook-id`, `webhook-timestamp`, and
`webhook-signature: v1,` with base64 of HMAC-SHA256 over `id.timestamp.body`. The id is also sent as
`Idempotency-Key`; it is the same whenever the message is sent again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import datetime

from components.config_base import canonical_json
from components.errors import ConfigError
from pipeline.alerts.http import post, secret_address
from pipeline.alerts.message import Message
from pipeline.alerts.outgoing import Outcome
from pipeline.config.alerts import WebhookChannel


def send(channel: WebhookChannel, message: Message, now: datetime) -> Outcome:
    """Sends a message once.

    Raises:
      ConfigError: a secret cannot be read, or is no header's value or address.
    """
    what = f"alerts: channel {channel.name}"
    if channel.secret_url is not None:
        url = secret_address(channel.secret_url, f"{what}: secret_url")
    else:
        url = str(channel.url)
    body = body_of(message)
    stamp = str(int(now.timestamp()))
    headers = {"Idempotency-Key": message.id, "webhook-id": message.id, "webhook-timestamp": stamp}
    if channel.hmac_key is not None:
        headers["webhook-signature"] = signature(channel.hmac_key.read(), message.id, stamp, body)
    for name, secret in channel.headers.items():
        value = secret.read().decode("ascii", "replace")
        if not value.isascii() or not value.isprintable():
            raise ConfigError(f"{what}: headers.{name}: {secret} is no header; allowed: printable ASCII")
        headers[name] = value
    return post(channel, url, body, headers, now)


def body_of(message: Message) -> bytes:
    """The bytes that are sent, and signed."""
    return canonical_json(message.model_dump(mode="json")).encode()


def signature(key: bytes, own_id: str, stamp: str, body: bytes) -> str:
    """The signature header.

    Args:
      key: `whsec_` and base64, or any bytes.
      own_id: `webhook-id`.
      stamp: `webhook-timestamp`, in seconds since 1970.
      body: As sent.

    Raises:
      ConfigError: what follows `whsec_` is no base64.
    """
    if key.startswith(b"whsec_"):
        try:
            key = base64.b64decode(key[6:], validate=True)
        except binascii.Error:
            raise ConfigError("alerts: hmac_key: found no base64 after whsec_; allowed: base64") from None
    mac = hmac.new(key, f"{own_id}.{stamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(mac.digest()).decode()
