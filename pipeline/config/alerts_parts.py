"""What the channels of the `alerts` section share: names, addresses, patience. Imports no TFX."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

import pydantic

from components.config_base import ComponentConfig

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,38}[A-Za-z0-9])?\Z")
#: A mailbox without a display name: RFC 5322's dot-atom, ASCII.
MAILBOX = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?\Z"
)


class ChannelBase(ComponentConfig):
    """What every channel has.

    Attributes:
      name: By which routes, messages and the command line call it.
      ca_file: PEM file of the authorities that its certificate is checked against; null: the machine's.
      timeout_s: Longest wait for a connection, and for each part of an answer.
      ignores_quiet_hours: It is told at any hour, as a pager or a log is.
    """

    name: str
    ca_file: str | None = pydantic.Field(default=None, min_length=1)
    timeout_s: float = pydantic.Field(default=10.0, gt=0, le=120)
    ignores_quiet_hours: bool = False

    @pydantic.field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not _NAME.match(name):
            raise ValueError("allowed: 1 to 40 letters, digits, '-' and '_', not at either end")
        return name


class HttpChannel(ChannelBase):
    """What every channel over HTTP has.

    Attributes:
      proxy: Address of a forward proxy; the machine's own setting is not read.
    """

    proxy: str | None = None

    @pydantic.field_validator("proxy")
    @classmethod
    def _check_proxy(cls, proxy: str | None) -> str | None:
        if proxy is not None and (address(proxy, "proxy").username or address(proxy, "proxy").password):
            raise ValueError("proxy: holds a user; allowed: http://HOST:PORT")
        return proxy


def one_line(what: str, text: str, most: int = 80) -> str:
    """The text, if it is one printable line.

    Raises:
      ValueError: it is empty, too long, or holds what does not print.
    """
    if not text.strip() or not text.isprintable() or len(text) > most:
        raise ValueError(f"{what}: found {len(text)} characters; allowed: one printable line of 1 to {most}")
    return text


def address(text: str, what: str = "url") -> SplitResult:
    """The parts of an http or https address.

    Raises:
      ValueError: it is none.
    """
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError(f"{what}: no address; allowed: https://HOST[:PORT]/PATH") from None
    clean = text.isascii() and text.isprintable() and not re.search(r"[\s<>\"|\\^`]", text)
    if parts.scheme not in ("http", "https") or not parts.hostname or not clean:
        raise ValueError(f"{what}: no address; allowed: https://HOST[:PORT]/PATH")
    return parts
