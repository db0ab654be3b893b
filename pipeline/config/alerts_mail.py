"""A mailbox as a channel of the `alerts` section. Imports no TFX."""

from __future__ import annotations

from email.utils import parseaddr
from typing import Literal

import pydantic

from components.secrets import SecretRef
from pipeline.config.alerts_parts import MAILBOX, ChannelBase, one_line
from pipeline.hosts import is_here

#: Usual port of each mode: submission (RFC 6409), submissions (RFC 8314), relay.
_PORTS = {"starttls": 587, "tls": 465, "none": 25}


class MailChannel(ChannelBase):
    """An SMTP server and who gets mail through it.

    Attributes:
      host: Of the server.
      port: Null takes the usual one: 587 with `starttls`, 465 with `tls`, 25 with `none`.
      tls: `starttls` (required, never left out where the server does not offer it), `tls` from the first
        byte, or `none`.
      user, password: By reference; both or neither.
      sender: `name@host` or `Name <name@host>`.
      to: Who always gets it.
      to_owners: Also the owners that have an address.
    """

    host: str = pydantic.Field(pattern=r"^[A-Za-z0-9.:\[\]-]{1,255}$")
    port: int | None = pydantic.Field(default=None, ge=1, le=65535)
    tls: Literal["starttls", "tls", "none"] = "starttls"
    user: SecretRef | None = None
    password: SecretRef | None = None
    sender: str
    to: tuple[str, ...] = ()
    to_owners: bool = False

    @property
    def real_port(self) -> int:
        """The port, the usual one where none is given."""
        return self.port or _PORTS[self.tls]

    @pydantic.model_validator(mode="after")
    def _check_mail(self) -> MailChannel:
        if (self.user is None) != (self.password is None):
            raise ValueError("found one of user and password; allowed: both, or neither")
        if self.user is not None and self.tls == "none" and not is_here(self.host):
            raise ValueError(
                f"tls: none with a password for {self.host}; allowed: starttls or tls, or this machine"
            )
        one_line("sender", self.sender, 320)
        name, mailbox = parseaddr(self.sender)
        if not MAILBOX.match(mailbox) or (name and not name.isascii()):
            raise ValueError("sender: no mailbox; allowed: name@host, or Name <name@host>, in ASCII")
        for i, item in enumerate(self.to):
            if not MAILBOX.match(item):
                raise ValueError(f"to[{i}]: no mailbox; allowed: name@host")
        if not self.to and not self.to_owners:
            raise ValueError("to: found nobody; allowed: at least one mailbox, or to_owners: true")
        return self
