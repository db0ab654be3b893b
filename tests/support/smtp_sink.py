"""A small SMTP server: RFC 5321 as far as a client of ours speaks it, with STARTTLS, AUTH PLAIN and LOGIN."""

from __future__ import annotations

import base64
import contextlib
import email
import email.policy
import socketserver
import ssl
import threading
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path


@dataclass
class Mail:
    """A mail that was taken."""

    sender: str
    to: list[str]
    raw: bytes
    encrypted: bool
    user: str

    @property
    def message(self) -> EmailMessage:
        found = email.message_from_bytes(self.raw, policy=email.policy.default)
        assert isinstance(found, EmailMessage)
        return found


@dataclass
class SmtpSink:
    """A server on a free port; use it in a `with`.

    Attributes:
      certificate: PEM file with key and certificate: STARTTLS is offered, or spoken from the first byte.
      implicit: TLS from the first byte.
      login: User and password that are asked for; None for nobody.
      replies: Verb to answers that its next uses get instead, first in first out; an empty one hangs up.
      refused: Mailbox to the answer that it always gets.
      got: Mails that were taken.
      said: Every line of every client, without mails and passwords.
    """

    certificate: Path | None = None
    implicit: bool = False
    login: tuple[str, str] | None = None
    replies: dict[str, list[str]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    got: list[Mail] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def __enter__(self) -> SmtpSink:
        sink = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError, EOFError):
                    _Session(sink, self.request).run()

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])


class _Session:
    def __init__(self, sink: SmtpSink, connection) -> None:
        self.sink, self.connection = sink, connection
        self.encrypted, self.user = False, ""
        if sink.implicit:
            self._encrypt()
        self.file = self.connection.makefile("rb")

    def _encrypt(self) -> None:
        assert self.sink.certificate is not None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.sink.certificate)
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.encrypted = True

    def say(self, *lines: str) -> None:
        for i, line in enumerate(lines):
            mark = "-" if i < len(lines) - 1 else " "
            self.connection.sendall(f"{line[:3]}{mark}{line[4:]}\r\n".encode())

    def line(self) -> str:
        found = self.file.readline()
        if not found:
            raise EOFError
        return found.rstrip(b"\r\n").decode("ascii")

    def run(self) -> None:
        self.say("220 sink ESMTP")
        sender, to = "", []
        while True:
            line = self.line()
            verb = line.split(" ", 1)[0].upper()
            self.sink.said.append(verb if verb == "AUTH" else line)
            if planned := self.sink.replies.get(verb):
                answer = planned.pop(0)
                if not answer:
                    self.connection.close()
                    return
                self.say(answer)
            elif verb == "EHLO":
                starttls = self.sink.certificate is not None and not self.encrypted
                offers = ["250 STARTTLS"] if starttls else []
                offers += ["250 AUTH PLAIN LOGIN"] if self.sink.login else []
                self.say("250 sink", *offers, "250 8BITMIME")
            elif verb == "STARTTLS" and self.sink.certificate is not None:
                self.say("220 go ahead")
                self._encrypt()
                self.file = self.connection.makefile("rb")
            elif verb == "AUTH":
                self._authenticate(line)
            elif verb == "MAIL":
                if self.sink.login and not self.user:
                    self.say("530 authentication required")
                    continue
                sender, to = line.split("<", 1)[1].split(">", 1)[0], []
                self.say("250 ok")
            elif verb == "RCPT":
                mailbox = line.split("<", 1)[1].split(">", 1)[0]
                answer = self.sink.refused.get(mailbox, "250 ok")
                to += [mailbox] if answer.startswith("250") else []
                self.say(answer)
            elif verb == "DATA":
                if not to:
                    self.say("554 nobody")
                    continue
                self.say("354 go on")
                raw = b""
                while (found := self.file.readline()) != b".\r\n":
                    if not found:
                        raise EOFError
                    raw += found[1:] if found.startswith(b"..") else found
                self.sink.got.append(Mail(sender, to, raw, self.encrypted, self.user))
                self.say("250 taken")
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok" if verb in ("RSET", "NOOP") else "502 not here")

    def _authenticate(self, line: str) -> None:
        parts = line.split(" ")
        if parts[1].upper() == "PLAIN":
            _, user, password = base64.b64decode(parts[2]).decode().split("\0")
        else:
            first = parts[2] if len(parts) > 2 else self._ask("VXNlcm5hbWU6")
            user = base64.b64decode(first).decode()
            password = base64.b64decode(self._ask("UGFzc3dvcmQ6")).decode()
        if (user, password) == self.sink.login:
            self.user = user
            self.say("235 ok")
        else:
            self.say("535 no")

    def _ask(self, what: str) -> str:
        self.say(f"334 {what}")
        return self.line()
