"""What Slack accepts of Block Kit in a message, written down apart from the code that makes messages.

Source: api.slack.com/reference/block-kit (blocks and composition objects) and
api.slack.com/reference/surfaces/formatting, as far as header, section, context and divider go.
"""

from __future__ import annotations

import re
from typing import Any

_MRKDWN = re.compile(r"<(?:https?://[^<>|\s]+(?:\|[^<>|]+)?|@[UW][A-Z0-9]+|!subteam\^S[A-Z0-9]+)>")
_ENTITY = re.compile(r"&(?:amp|lt|gt);")


def check(payload: Any) -> None:
    """Raises ValueError with Slack's kind of reason where it would answer 400."""
    _need(isinstance(payload, dict) and set(payload) <= {"text", "blocks"}, "invalid_payload")
    _need(isinstance(payload.get("text"), str) and 0 < len(payload["text"]) <= 40000, "no_text")
    _marked(payload["text"], links=False)
    blocks = payload.get("blocks")
    _need(isinstance(blocks, list) and 1 <= len(blocks) <= 50, "invalid_blocks")
    for block in blocks:
        kind = block.get("type")
        if kind == "header":
            _need(set(block) <= {"type", "text", "block_id"}, "invalid_blocks")
            _text(block["text"], {"plain_text"}, 150)
        elif kind == "section":
            _need(set(block) <= {"type", "text", "fields", "accessory", "block_id"}, "invalid_blocks")
            _need("text" in block or block.get("fields"), "invalid_blocks")
            if "text" in block:
                _text(block["text"], {"plain_text", "mrkdwn"}, 3000)
            fields = block.get("fields", [])
            _need(len(fields) <= 10, "invalid_blocks")
            for item in fields:
                _text(item, {"plain_text", "mrkdwn"}, 2000)
        elif kind == "context":
            _need(set(block) <= {"type", "elements", "block_id"}, "invalid_blocks")
            _need(1 <= len(block.get("elements", [])) <= 10, "invalid_blocks")
            for item in block["elements"]:
                _text(item, {"plain_text", "mrkdwn"}, 3000)
        else:
            _need(kind == "divider" and set(block) <= {"type", "block_id"}, "invalid_blocks")


def _text(value: Any, kinds: set[str], most: int) -> None:
    _need(isinstance(value, dict) and value.get("type") in kinds, "invalid_blocks")
    allowed = {"type", "text", "emoji"} if value["type"] == "plain_text" else {"type", "text", "verbatim"}
    _need(set(value) <= allowed, "invalid_blocks")
    _need(isinstance(value["text"], str) and 1 <= len(value["text"]) <= most, "invalid_blocks")
    if value["type"] == "mrkdwn":
        _marked(value["text"], links=True)


def _marked(text: str, links: bool) -> None:
    """No sign of markup is left but entities, links, and mentions of members and groups."""
    rest = _MRKDWN.sub("", text) if links else text
    _need(not re.search(r"[<>]", rest) and "&" not in _ENTITY.sub("", rest), "invalid_markup")


def _need(fine: Any, reason: str) -> None:
    if not fine:
        raise ValueError(reason)
