"""What a served detector was asked about, as profiles in a folder: `isthmus serve` writes, SkewMonitor reads.

`FOLDER/<process>/<generation>/` holds `record.json` and one profile a locale. A generation is written beside
its place and renamed, so that it is whole or not there; the highest counts, the others are removed. Profiles
of one plan are added, whatever process wrote them. A profile holds no row, yet it is as confidential as the
rows (`components.drift.core.profile`): the folders are readable by their owner only.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal

import pydantic

from components.config_base import canonical_json
from components.drift.core.merging import merge, plan_difference, select
from components.drift.core.profile import Profile, ProfilePlan
from components.drift.core.profile_file import plan_form, read_profile, write_profile
from components.errors import DataError
from components.executor_base import write_json

RECORD_FILE = "record.json"
#: Begins the name of a generation that is not finished; nobody reads it.
_UNFINISHED = ".new-"
_MAX_RECORD_BYTES = 1 << 20
DAY_S: Final = 86_400
_Count = Annotated[int, pydantic.Field(ge=0)]


class Record(pydantic.BaseModel):
    """`record.json`: what one process recorded, and what it did not.

    Attributes:
      plan_sha256: Of the plan's canonical form.
      content_digest: Of the version that was served.
      written: ISO 8601 in UTC.
      locales: Folder number to locale; empty text for rows that named none that the detector knows.
      recorded: Rows in the profiles since the process began, those of buckets given up since included.
      not_recorded: Reason to rows.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal["isthmus-served-rows"] = "isthmus-served-rows"
    version: Literal[1] = 1
    plan_sha256: str
    content_digest: str
    written: str
    locales: dict[str, str]
    recorded: _Count
    not_recorded: dict[str, _Count]


@dataclass(frozen=True)
class Served:
    """What a folder holds.

    Attributes:
      profiles: Locale to the rows that were asked about, of the plan that was written last.
      not_recorded: Reason to rows, of the processes behind the profiles.
      remarks: What was left out, in words.
    """

    profiles: Mapping[str, Profile]
    not_recorded: Mapping[str, int] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def plan_sha256(plan: ProfilePlan) -> str:
    """SHA-256 (hex) of a plan."""
    return hashlib.sha256(canonical_json(plan_form(plan)).encode()).hexdigest()


def write_generation(place: Path, number: int, record: Record, profiles: Sequence[Profile]) -> None:
    """Writes what a process has recorded so far, and removes what it wrote before.

    Args:
      place: The process's own folder.
      number: Higher than any before.
      record: Its `locales` number the profiles.
      profiles: One a locale.

    Raises:
      DataError: a profile is not valid.
      OSError: it cannot be written; what was there before stays.
    """
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=place))  # for the owner only
    try:
        for index, profile in enumerate(profiles):
            write_profile(unfinished / str(index), profile)
        write_json(unfinished / RECORD_FILE, record.model_dump(mode="json"))
        unfinished.rename(place / str(number))
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    for other in _generations(place):
        if other < number:
            shutil.rmtree(place / str(other), ignore_errors=True)


def read_served(folder: Path, days: int) -> Served:
    """Adds up what all processes recorded.

    Args:
      folder: Of the processes' folders.
      days: Buckets older than this, seen from the newest recorded one of any locale, are left out.

    Raises:
      DataError: the folder is not there or cannot be read, nothing is in it, or a profile is damaged. The
        message names no path: it becomes the reason of a finding.
    """
    try:
        places = sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError as error:
        why = "is not there" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise DataError(f"the folder of recorded rows {why}") from None
    found = [item for item in map(_newest, places) if item is not None]
    if not found:
        raise DataError("the folder of recorded rows holds no record")
    newest = max((record for record, _ in found), key=lambda record: (record.recorded > 0, record.written))
    used = [item for item in found if item[0].plan_sha256 == newest.plan_sha256]
    by_locale: dict[str, list[Profile]] = {}
    not_recorded: Counter[str] = Counter()
    for record, profiles in used:
        not_recorded.update(record.not_recorded)
        for name, profile in profiles.items():
            by_locale.setdefault(name, []).append(profile)
    merged = {name: merge(profiles) for name, profiles in by_locale.items()}
    others = len(found) - len(used)
    remarks = (f"{others} records on another plan are left out",) if others else ()
    return Served(_latest(merged, days), dict(not_recorded), remarks)


def fingerprint(folder: Path) -> str:
    """A digest that changes with the record, for the cache; of nothing where there is no folder."""
    digest = hashlib.sha256()
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        digest.update(f"{place.name}/{max(_generations(place), default=0)}\n".encode())
    return digest.hexdigest()


def _latest(profiles: Mapping[str, Profile], days: int) -> dict[str, Profile]:
    ends = [int(profile.bucket[-1]) for profile in profiles.values() if len(profile.bucket)]
    if not ends:
        return dict(profiles)
    found = {}
    for name, profile in profiles.items():
        first = max(ends) - days * DAY_S // profile.plan.bucket_s
        found[name] = select(profile, profile.bucket > first)
    return found


def _newest(place: Path) -> tuple[Record, dict[str, Profile]] | None:
    """A process's latest generation; None where it has none yet."""
    for last_try in (False, False, True):
        numbers = _generations(place)
        if not numbers:
            return None
        try:
            return _read(place / str(max(numbers)))
        except DataError:
            # The process may have written the next one meanwhile, and removed this one.
            if last_try or max(_generations(place), default=0) == max(numbers):
                raise
    return None


def _read(place: Path) -> tuple[Record, dict[str, Profile]]:
    damaged = "a recorded profile is damaged, or of a version that is not known"
    try:
        with (place / RECORD_FILE).open("rb") as file:
            raw = file.read(_MAX_RECORD_BYTES + 1)
        if len(raw) > _MAX_RECORD_BYTES:
            raise DataError(damaged)
        record = Record.model_validate_json(raw)
        profiles = {name: read_profile(place / str(int(index))) for index, name in record.locales.items()}
    except (OSError, ValueError, DataError):
        raise DataError(damaged) from None
    plans = [profile.plan for profile in profiles.values()]
    if any(plan_sha256(plan) != record.plan_sha256 for plan in plans[:1]) or any(
        plan_difference(plans[0], plan) for plan in plans[1:]
    ):
        raise DataError(damaged)
    return record, profiles


def _generations(place: Path) -> list[int]:
    try:
        return [int(path.name) for path in place.iterdir() if path.name.isdecimal()]
    except OSError:
        return []
