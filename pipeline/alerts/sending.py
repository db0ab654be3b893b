"""One attempt to bring a message to a channel."""

from __future__ import annotations

from datetime import datetime

from components.errors import IsthmusError
from pipeline.alerts import mail, slack, webhook
from pipeline.alerts.outgoing import Outcome, Outgoing
from pipeline.config.alerts import Channel, SlackChannel, WebhookChannel


def attempt(channel: Channel, item: Outgoing, now: datetime) -> Outcome:
    """Sends a message once.

    A secret that is not set or not usable is no reason to throw the message away: the outcome is `later`.

    Args:
      channel: As the deployment has it.
      item: Of the outbox.
      now: For dates and signatures.
    """
    try:
        if isinstance(channel, SlackChannel):
            return slack.send(channel, item.message, now)
        if isinstance(channel, WebhookChannel):
            return webhook.send(channel, item.message, now)
        return mail.send(channel, item.message, item.to, now)
    except IsthmusError as error:
        return Outcome("later", str(error))
