"""Moments as nanoseconds since 1970, and their RFC 3339 text. Pure; of clocks it knows nothing."""

import re
from datetime import date

from commonhold.formats.malformed import Malformed

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
_EPOCH = date(1970, 1, 1).toordinal()
_LAST = (date.max.toordinal() - _EPOCH + 1) * DAY - 1  # the end of year 9999
_FORM = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(?:\.(\d{1,9}))?(?:Z|([+-])([01]\d|2[0-3]):([0-5]\d))",
    re.ASCII,
)


def format_rfc3339(instant: int) -> str:
    """Return a moment's text in UTC with all nine digits: `1970-01-01T00:00:00.000000001Z`. Years 1 to 9999."""
    days, rest = divmod(instant, DAY)
    try:
        day = date.fromordinal(_EPOCH + days)
    except (ValueError, OverflowError) as error:
        raise Malformed("time", "outside the years 1 to 9999") from error
    seconds, nanos = divmod(rest, SECOND)
    return f"{day.isoformat()}T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{nanos:09}Z"


def parse_rfc3339(text: str) -> int:
    """Return the moment of an RFC 3339 text with at most nine digits of a second. No leap seconds, no lower case."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise Malformed("time", f"{text[:40]!r} is not of the form 1970-01-01T00:00:00.000000001Z")
    year, month, day, hours, minutes, seconds, fraction, sign, off_hours, off_minutes = found.groups()
    try:
        days = date(int(year), int(month), int(day)).toordinal() - _EPOCH
    except ValueError as error:
        raise Malformed("time", f"{text[:40]!r} is no day") from error
    clock = (int(hours) * 3600 + int(minutes) * 60 + int(seconds)) * SECOND + int((fraction or "0").ljust(9, "0"))
    offset = 0 if sign is None else (int(off_hours) * 3600 + int(off_minutes) * 60) * SECOND
    return min(days * DAY + clock - (-offset if sign == "-" else offset), _LAST)
