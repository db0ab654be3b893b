"""Which earlier spans a span is compared with: what was found before the run, as one exec property."""

from __future__ import annotations

from typing import Literal

import pydantic

from components.config_base import ComponentConfig

BaselineKind = Literal["previous", "window", "reference"]


class BaselineSource(ComponentConfig):
    """One baseline and where it lies.

    Attributes:
      kind: Which.
      profiles: Folders of the SpanProfile of each span, oldest first; none, or empty texts, where it is
        missing.
      statistics: Folder of the ExampleStatistics of a baseline of one span; empty where there is none.
      absent: Why it is missing; empty where it is not known, or not missing.
    """

    kind: BaselineKind
    profiles: tuple[str, ...] = ()
    statistics: str = ""
    absent: str = ""

    @property
    def places(self) -> tuple[str, ...]:
        """The folders that there are."""
        return tuple(filter(None, self.profiles))


class Baselines(ComponentConfig):
    """All baselines of a span.

    Attributes:
      sources: One per configured baseline, missing ones too.
      plan: Folder of the SpanProfile whose bins this span takes over; empty for the locale's first span.
    """

    sources: tuple[BaselineSource, ...] = pydantic.Field(default=())
    plan: str = ""


#: Where nothing is known of earlier spans.
NO_BASELINES = Baselines()
