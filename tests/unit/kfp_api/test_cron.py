"""Schedules become six fields, and what robfig/cron v1 would refuse is refused before."""

from __future__ import annotations

import pytest

from components.errors import ConfigError
from pipeline.kfp_api.cron import with_seconds


@pytest.mark.parametrize(
    ("text", "six"),
    [
        ("0 4 * * *", "0 0 4 * * *"),
        ("30 0 4 * * *", "30 0 4 * * *"),
        ("*/15 8-18/2 1,15 JAN-mar MON-FRI", "0 */15 8-18/2 1,15 JAN-mar MON-FRI"),
        ("0  4 ? * 0", "0 0 4 ? * 0"),
        ("59 59 23 31 12 6", "59 59 23 31 12 6"),
    ],
)
def test_schedules(text, six):
    assert with_seconds(text) == six


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 4 * *", "4 fields; allowed: minute hour day month weekday"),
        ("@daily", "1 fields"),
        ("60 4 * * *", "minute '60'; allowed: 0-59"),
        ("0 24 * * *", "hour '24'"),
        ("0 4 0 * *", "day of month '0'; allowed: 1-31"),
        ("0 4 * 13 *", "month '13'; allowed: 1-12 or JAN…"),
        ("0 4 * * 7", "day of week '7'; allowed: 0-6 or SUN…"),
        ("0 4 * * FRI-MON", "day of week 'FRI-MON'"),
        ("*/0 4 * * *", r"minute '\*/0'"),
        ("*-5 4 * * *", r"minute '\*-5'"),
        ("1,,2 4 * * *", "minute ''"),
        ("L 4 * * *", "minute 'L'"),
        ("1²  4 * * *", "minute '1²'"),
    ],
)
def test_others_are_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        with_seconds(text)
