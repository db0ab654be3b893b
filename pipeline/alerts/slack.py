"""Slack incoming webhooks: Block Kit within its limits.

Limits: 50 blocks, 3,000 characters in a section's text, 150 in a header, 10 elements in a context
(api.slack.com/reference/block-kit/blocks); `&`, `<` and `>` are escaped
(api.slack.com/reference/surfaces/formatting).
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from pipeline.alerts import text
from pipeline.alerts.http import post, secret_address
from pipeline.alerts.message import Item, Message, Notice, Owner
from pipeline.alerts.outgoing import Outcome
from pipeline.alerts.words import CAUSE_WORDS, KIND_WORDS, NO_READINGS
from pipeline.config.alerts import SlackChannel

_MOST_BLOCKS, _MOST_TEXT, _MOST_HEADER = 50, 3000, 150
#: A person reads so many; the report has all.
_MOST_ITEMS = 10
_MARKS = {"info": ":information_source:", "warning": ":warning:", "critical": ":rotating_light:"}
_LINK = re.compile(r"https?://")


def send(channel: SlackChannel, message: Message, now: datetime) -> Outcome:
    """Sends a message once.

    Raises:
      ConfigError: the address cannot be read or is none.
    """
    url = secret_address(channel.url, f"alerts: channel {channel.name}: url")
    body = json.dumps(payload(message), ensure_ascii=False).encode()
    return post(channel, url, body, {}, now, reasons=True)


def payload(message: Message) -> dict[str, Any]:
    """The JSON of a message: `text` for notifications, `blocks` for reading."""
    subject = text.subject(message)
    head = subject.removeprefix("[Isthmus] ")
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": cut(head, _MOST_HEADER), "emoji": False}}
    ]
    left = _MOST_BLOCKS - 2  # the header, and the last line
    for i, notice in enumerate(message.notices):
        found = _notice(notice, len(message.notices) > 1)
        if len(found) > left - (i < len(message.notices) - 1):
            blocks.append(_context(f"and {len(message.notices) - i} more; the report has all"))
            break
        blocks += found
        left -= len(found)
    blocks.append(_context(f"{escaped(NO_READINGS)} Deployment {escaped(message.deployment)}."))
    return {"text": cut(escaped(subject), _MOST_TEXT), "blocks": blocks}


def escaped(words: str) -> str:
    """Text that Slack takes for no markup of its own."""
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut(words: str, most: int) -> str:
    """At most so many characters; no entity is cut in two."""
    if len(words) <= most:
        return words
    return re.sub(r"&[a-z]{0,4}\Z", "", words[: most - 1]) + "…"


def _notice(notice: Notice, several: bool) -> list[dict[str, Any]]:
    title = text.headline(notice)
    mark = ":white_check_mark:" if notice.kind in text.ENDS else _MARKS[notice.severity]
    lead = f"{mark} *{escaped(KIND_WORDS[notice.kind])}*" + (f": {escaped(title)}" if several else "")
    lines = [lead, *([] if notice.kind == "test" else [escaped(CAUSE_WORDS[notice.cause])])]
    if notice.kind != "test":
        lines.append(f"Owner: {_people(notice)}")
    if standing := text.standing(notice):
        lines.append(escaped(standing))
    if notice.report:
        address = escaped(notice.report)
        lines.append(f"<{address}|Report>" if _LINK.match(notice.report) else f"Report: {address}")
    blocks = [_section("\n".join(lines))]
    shown = notice.items[: 2 if several else _MOST_ITEMS]
    blocks += [_section(_item(item, notice.kind in text.ENDS)) for item in shown]
    if notice.total > len(shown):
        blocks.append(_context(f"and {notice.total - len(shown)} more; the report has all"))
    return blocks


def _item(item: Item, ended: bool) -> str:
    name = escaped(text.place_of(item))
    lines = [f"*{name}* ({item.severity})", *map(escaped, text.measures_of(item))]
    return "\n".join([*lines, escaped(text.how_long(item, ended))])


def _people(notice: Notice) -> str:
    return ", ".join(map(_person, notice.owners)) or escaped(text.owners_of(notice))


def _person(owner: Owner) -> str:
    names = escaped(", ".join(owner.names))
    if owner.slack.startswith(("U", "W")):
        return f"{names} <@{owner.slack}>"
    if owner.slack.startswith("S"):
        return f"{names} <!subteam^{owner.slack}>"
    return f"{names} {escaped(owner.slack)}".rstrip()


def _section(words: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": cut(words, _MOST_TEXT)}}


def _context(words: str) -> dict[str, Any]:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": cut(words, _MOST_TEXT)}]}
