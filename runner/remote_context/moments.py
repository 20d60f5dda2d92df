"""Converts moments between datetimes and the text of .NET's serializer.

Source: https://learn.microsoft.com/dotnet/api/system.runtime.serialization.json.datacontractjsonserializer
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_DATE = re.compile(r"/Date\((?P<milliseconds>-?\d{1,18})(?P<offset>[+-]\d{4})?\)/\Z")


class WireDateTime(datetime):
    """A datetime with its original ``text``, if that holds more than the time itself."""

    text: str

    @classmethod
    def spelled(cls, text: str, moment: datetime) -> WireDateTime:
        made = cls.fromtimestamp(0, UTC) + (moment - _EPOCH)
        made.text = text
        return made


def decode_moment(text: str, *, shifted: bool = False) -> datetime | None:
    """Read ``/Date(1697526000000)/`` as aware UTC; None when ``text`` has another form.

    An offset after the milliseconds is ignored, unless the number is ``shifted`` by it: the asynchronous service of
    some servers writes OperationCreatedOn in local time, with an offset such as ``+0300``.
    """
    match = _DATE.match(text)
    if match is None:
        return None
    try:
        moment = _EPOCH + int(match["milliseconds"]) * _MILLISECOND
        offset = match["offset"]
        if offset is None:
            return moment
        return WireDateTime.spelled(text, moment + _offset(offset) if shifted else moment)
    except OverflowError:
        return None


def _offset(text: str) -> timedelta:
    size = timedelta(hours=int(text[1:3]), minutes=int(text[3:]))
    return -size if text[0] == "-" else size


def encode_moment(moment: datetime) -> str:
    """Write a datetime as ``/Date(...)/`` in whole milliseconds; smaller fractions are dropped."""
    if isinstance(moment, WireDateTime):
        return moment.text
    return f"/Date({(moment - _EPOCH) // _MILLISECOND})/"
