"""E-mail over SMTP: text and HTML, one thread for each episode."""

from __future__ import annotations

import functools
import smtplib
import ssl
from collections.abc import Sequence
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from pathlib import Path

import jinja2

from components.errors import ConfigError
from components.secrets import SecretRef
from pipeline.alerts import text
from pipeline.alerts.message import Message
from pipeline.alerts.outgoing import Outcome
from pipeline.alerts.words import CAUSE_WORDS, KIND_WORDS, NO_READINGS
from pipeline.config.alerts_mail import MailChannel
from pipeline.config.alerts_parts import MAILBOX


def send(channel: MailChannel, message: Message, to: Sequence[str] | None, now: datetime) -> Outcome:
    """Sends a message once.

    Args:
      channel: Server, sender, recipients.
      message: What is sent.
      to: Mailboxes that have not got it yet; None for all.
      now: The date.

    Raises:
      ConfigError: a secret or the file of authorities cannot be read.
    """
    wanted = tuple(to) if to is not None else recipients(channel, message)
    if not wanted:
        return Outcome("never", "no owner of it has an address, and alerts.email names nobody else")
    mail = email_of(channel, message, wanted, now)
    login = None
    if channel.user is not None and channel.password is not None:
        login = (_ascii(channel, channel.user), _ascii(channel, channel.password))
    context = _context(channel) if channel.tls != "none" else None
    try:
        with _connected(channel, context) as server:
            if login is not None:
                server.login(*login)
            refused = server.send_message(mail, to_addrs=list(wanted))
    except smtplib.SMTPRecipientsRefused as error:
        return _refused(error.recipients, wanted)
    except smtplib.SMTPAuthenticationError as error:
        return _by_code(error.smtp_code, "user or password are not accepted")
    except smtplib.SMTPNotSupportedError:
        # Nothing goes out in the clear instead; somebody in between may have hidden the offer.
        return Outcome("later", "the server does not offer what is asked for (STARTTLS, or a login)")
    except smtplib.SMTPResponseException as error:
        return _by_code(error.smtp_code, "refused")
    except ssl.SSLError:
        return Outcome("later", "its certificate is not trusted; name its authority: ca_file")
    except (smtplib.SMTPException, OSError) as error:
        return Outcome("later", f"cannot be reached ({type(error).__name__})")
    return _refused(refused, wanted) if refused else Outcome("sent", f"{len(wanted)} mailboxes")


def recipients(channel: MailChannel, message: Message) -> tuple[str, ...]:
    """Who gets a message: the channel's mailboxes, and the owners' where that is set."""
    owners = [owner.address for notice in message.notices for owner in notice.owners if owner.address]
    return tuple(dict.fromkeys((*channel.to, *(owners if channel.to_owners else ()))))


def email_of(channel: MailChannel, message: Message, to: Sequence[str], now: datetime) -> EmailMessage:
    """The e-mail. Every text of a header is one printable line before it gets there."""
    name, mailbox = parseaddr(channel.sender)
    domain = mailbox.rpartition("@")[2]
    mail = EmailMessage(policy=SMTP)
    mail["From"] = Address(_flat(name), addr_spec=mailbox)
    mail["To"] = ", ".join(item for item in to if MAILBOX.match(item))
    mail["Subject"] = _flat(text.subject(message))
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{message.id}@{domain}>"
    threads = [notice.thread for notice in message.notices if notice.thread != message.id]
    if threads:
        mail["In-Reply-To"] = f"<{threads[0]}@{domain}>"
        mail["References"] = " ".join(f"<{thread}@{domain}>" for thread in dict.fromkeys(threads))
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday note answers it
    mail["X-Isthmus-Severity"] = message.severity
    # Quoted-printable: lines stay short, and no server need know of eight bits.
    mail.set_content(plain(message), cte="quoted-printable")
    mail.add_alternative(html(message), subtype="html", cte="quoted-printable")
    return mail


def plain(message: Message) -> str:
    """The text part."""
    lines = [text.subject(message), ""]
    for notice in message.notices:
        lines += [f"{KIND_WORDS[notice.kind]}: {text.headline(notice)}"]
        if notice.kind != "test":
            lines += [CAUSE_WORDS[notice.cause], f"Owner: {text.owners_of(notice)}"]
            lines += [f"Severity: {notice.severity}", text.standing(notice)]
        lines += [f"Report: {notice.report}"] if notice.report else []
        for item in notice.items:
            lines += ["", f"- {text.place_of(item)} ({item.severity})"]
            lines += [f"  {line}" for line in text.measures_of(item)]
            lines += [f"  {text.how_long(item, notice.kind in text.ENDS)}"]
        if notice.total > len(notice.items):
            lines += ["", f"and {notice.total - len(notice.items)} more; the report has all"]
        lines += [""]
    return "\n".join([*lines, NO_READINGS, f"Deployment {message.deployment}, message {message.id}."]) + "\n"


def html(message: Message) -> str:
    """The HTML part: loads nothing, every text escaped."""
    return _template().render(
        message=message, text=text, kinds=KIND_WORDS, causes=CAUSE_WORDS, no_readings=NO_READINGS
    )


@functools.cache
def _template() -> jinja2.Template:
    folder = Path(__file__).parent / "templates"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("alert.html.j2")


def _context(channel: MailChannel) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=channel.ca_file)
    except (OSError, ssl.SSLError):
        raise ConfigError(
            f"alerts: channel {channel.name}: ca_file {channel.ca_file}: no certificates; allowed: a PEM file"
        ) from None


def _ascii(channel: MailChannel, secret: SecretRef) -> str:
    text = secret.read()
    if not text.isascii():
        raise ConfigError(f"alerts: channel {channel.name}: {secret} is not ASCII; allowed: ASCII")
    return text.decode()


def _connected(channel: MailChannel, context: ssl.SSLContext | None) -> smtplib.SMTP:
    if channel.tls == "tls":
        return smtplib.SMTP_SSL(channel.host, channel.real_port, timeout=channel.timeout_s, context=context)
    server = smtplib.SMTP(channel.host, channel.real_port, timeout=channel.timeout_s)
    if context is not None:
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
    return server


def _refused(refused: dict[str, tuple[int, bytes]], wanted: Sequence[str]) -> Outcome:
    """Some mailboxes were refused: those that may work later stay, else those that never will."""
    later = tuple(name for name in wanted if name in refused and refused[name][0] < 500)
    never = tuple(name for name in wanted if name in refused and refused[name][0] >= 500)
    words = f"{len(refused)} of {len(wanted)} mailboxes refused"
    if later:
        # Those that never will are asked once more with the others, and then set aside.
        return Outcome("later", words, to=(*later, *never))
    return Outcome("never", words, to=never)


def _by_code(code: int, words: str) -> Outcome:
    return Outcome("never" if code >= 500 else "later", f"SMTP {code}: {words}")


def _flat(words: str) -> str:
    return " ".join("".join(sign if sign.isprintable() else " " for sign in words).split())
