"""A message as it leaves, whatever the channel; the webhook sends it as it is.

Published as `schemas/alerts/alert-1.schema.json`. Receivers must accept fields that they do not know:
additions keep the version, anything else makes it 2.
"""

from __future__ import annotations

from typing import Literal

import pydantic

from components.drift.findings import CauseName, Comparison, Measure, Severity

FORMAT_VERSION: Literal[1] = 1
NoticeKind = Literal["alert", "escalated", "reminder", "resolved", "closed", "test"]
MessageKind = Literal["alert", "escalated", "reminder", "resolved", "closed", "test", "digest"]


class Part(pydantic.BaseModel):
    """A frozen part of a message."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Measured(Part):
    """A measure that alerts. Numbers are distances, thresholds and counts, never readings.

    Attributes:
      measure: Its name.
      value: In `unit`; None where it is undefined.
      unit: Of the distance; empty where dimensionless.
      threshold: What was passed, in `unit`: configured, or the limit of sampling noise.
      rule: Which of the two; `kept` judges nothing.
      alpha: Level of the noise rule.
      n: Values on the first side.
      n_baseline: On the other.
      q_value: After the false-discovery control.
    """

    measure: Measure
    value: float | None = None
    unit: str = ""
    threshold: float | None = None
    rule: Literal["number", "noise", "kept"] = "kept"
    alpha: float | None = None
    n: int | None = None
    n_baseline: int | None = None
    q_value: float | None = None


class Item(Part):
    """One feature in one comparison.

    Attributes:
      comparison: What kind.
      against: With what, in words of ours and names of the deployment.
      feature: Name, or `(all)`.
      split: Name, or `(span)`.
      severity: Of this finding.
      measures: Those that alert, the worst first; at most three.
      since_span: First span that alerted.
      span: Span that was judged last.
      since: When it was first told, ISO 8601 in UTC.
      begin: When it began in the data, to a bucket of time; empty where unknown.
      judged: Whether the run at hand judged it; else it stands as it stood.
      flapping: It comes and goes; its changes are damped.
    """

    comparison: Comparison
    against: str
    feature: str
    split: str
    severity: Severity
    measures: tuple[Measured, ...] = ()
    since_span: int
    span: int
    since: str
    begin: str = ""
    judged: bool = True
    flapping: bool = False


class Owner(Part):
    """Whose it is.

    Attributes:
      names: Of people or teams.
      slack: Member or group id, or handle; may be empty.
      address: For e-mail; may be empty.
    """

    names: tuple[str, ...]
    slack: str = ""
    address: str = ""


class Notice(Part):
    """What happened to the findings of one locale and one cause.

    Attributes:
      kind: `alert` they began, `escalated` they became more severe, `reminder` they still hold, `resolved`
        they ended, `closed` a person ended them, `test`.
      incident: Number of the locale's and cause's episode, within this state.
      thread: Same for all messages of the episode on one channel.
      locale: Which is judged.
      cause: Name.
      cause_words: One sentence; empty in a test.
      severity: The worst of the items.
      items: The findings, the worst first; at most 50.
      total: How many there are.
      open: How many of the episode still hold, these included.
      since: When the episode began, ISO 8601 in UTC.
      at: When this was noticed.
      run_id: In which run.
      owners: Whose they are.
      report: Address of the report, or empty.
    """

    kind: NoticeKind
    incident: int
    thread: str
    locale: str
    cause: CauseName
    cause_words: str = ""
    severity: Severity
    items: tuple[Item, ...] = ()
    total: int = 0
    open: int = 0
    since: str
    at: str
    run_id: str = ""
    owners: tuple[Owner, ...] = ()
    report: str = ""


class Message(Part):
    """What is sent.

    Attributes:
      format: Always the same.
      version: Of the form.
      id: The same whenever the message is sent again: receivers drop a second one.
      kind: The notice's, or `digest` for several that were held back.
      test: Whether it is a test and nothing happened.
      deployment: Name.
      at: When it was made, ISO 8601 in UTC.
      severity: The worst of the notices.
      summary: One line, as the subject of a mail.
      notices: One; several in a digest.
    """

    format: Literal["isthmus-alert"] = "isthmus-alert"
    version: Literal[1] = FORMAT_VERSION
    id: str
    kind: MessageKind
    test: bool = False
    deployment: str
    at: str
    severity: Severity
    summary: str = ""
    notices: tuple[Notice, ...]
