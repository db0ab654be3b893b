"""What an engine reports when a worker fails, as one line.

Engines hand an exception over in many ways: as itself with the step's name put behind its message, as a
RuntimeError that quotes a traceback, as a job's state. Our own messages name no values and are kept; of a
foreign one only the type is told, since its text may quote a row. The whole is in the step's log.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator

from components.errors import ConfigError, DataError, InternalError, IsthmusError

_LOG = logging.getLogger(__name__)
_KINDS: dict[str, type[IsthmusError]] = {
    kind.__name__: kind for kind in (ConfigError, DataError, InternalError)
}
_OURS = re.compile(r"\b(?:components\.errors\.)?(ConfigError|DataError|InternalError): ([^\n]+)")
#: What Beam puts behind the message of an exception that a step raised (`apache_beam/runners/common.py`).
_STEP = re.compile(r"""\s*\[while running ['"].*""", re.DOTALL)
_TYPE = re.compile(r"^([A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Timeout))\b", re.MULTILINE)


@contextlib.contextmanager
def engine_errors(place: str) -> Iterator[None]:
    """Turns what an engine raises into one line.

    Args:
      place: For messages.

    Raises:
      IsthmusError: a worker's own error, or an InternalError with the types of what was reported.
    """
    try:
        yield
    except IsthmusError as error:
        raise type(error)(_STEP.sub("", str(error)).splitlines()[0]) from error
    except Exception as error:
        _LOG.exception("%s: the engine failed", place)
        told = list(_OURS.finditer(str(error)))
        if told:
            raise _KINDS[told[-1][1]](_STEP.sub("", told[-1][2]).rstrip("\\n'\" ")) from error
        types = [type(error).__name__, *(name.rpartition(".")[2] for name in _TYPE.findall(str(error)))]
        reported = " → ".join(dict.fromkeys(types))
        raise InternalError(
            f"{place}: beam: the engine reported {reported}; the step's log has the rest"
        ) from error
