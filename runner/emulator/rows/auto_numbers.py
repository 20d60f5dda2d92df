"""Formats the values of autonumber columns, and keeps their sequences of numbers.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/create-auto-number-attributes
"""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TypeAlias

from runner.emulator.errors import InvalidArgument
from runner.emulator.storage.store import Store

FIRST_NUMBER = 1000

#: A part of the value, made from the sequence's number and the row's time of creation.
_Segment: TypeAlias = Callable[[int, datetime], str]

_PLACEHOLDER = re.compile(r"\{(\w+):([^{}]+)\}|([^{}]+)")
_RANDOM_CHARACTERS = string.ascii_uppercase + string.digits
_MAX_RANDOM_LENGTH = 6
_DATE_PART = re.compile(r"([A-Za-z])\1*|[^A-Za-z]+")
#: .NET's custom format specifiers and those of strftime.
_DATE_PARTS = {"yyyy": "%Y", "yy": "%y", "MM": "%m", "dd": "%d", "HH": "%H", "hh": "%I", "mm": "%M", "ss": "%S"}


class AutoNumber:
    """One column's format, such as ``WID-{SEQNUM:5}-{RANDSTRING:6}-{DATETIMEUTC:yyyyMMddhhmmss}``, parsed."""

    def __init__(self, table: str, column: str, text: str) -> None:
        """Raises InvalidArgument when the format is not valid."""
        self.column = column
        self._sequence = f"{table}.{column}"
        self._segments = _segments(text)

    def next_value(self, store: Store, now: datetime) -> str:
        """The value of a row created at ``now`` (UTC)."""
        number = next_number(store, self._sequence)
        return "".join(segment(number, now) for segment in self._segments)


def next_number(store: Store, sequence: str) -> int:
    """Take the next number. It is not reused after a rollback, so sequences can have gaps, as in Dataverse."""
    number = following_number(store, sequence)
    store.last_numbers[sequence] = number
    store.execute(
        "INSERT INTO number_sequence VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET following = ?3",
        (sequence, FIRST_NUMBER, number + 1),
    )
    return number


def following_number(store: Store, sequence: str) -> int:
    """The next number, which is not taken."""
    row = store.execute("SELECT following FROM number_sequence WHERE name = ?", (sequence,)).fetchone()
    kept = row[0] if row else FIRST_NUMBER
    return max(kept, store.last_numbers.get(sequence, kept - 1) + 1)


def seed(store: Store, sequence: str) -> int:
    """The first number of the sequence."""
    row = store.execute("SELECT seed FROM number_sequence WHERE name = ?", (sequence,)).fetchone()
    return row[0] if row else FIRST_NUMBER


def set_seed(store: Store, sequence: str, number: int) -> None:
    """Start the sequence again at ``number``, so that values may repeat."""
    store.last_numbers.pop(sequence, None)
    store.execute("INSERT OR REPLACE INTO number_sequence VALUES (?1, ?2, ?2)", (sequence, number))


def _segments(text: str) -> list[_Segment]:
    segments, end = [], 0
    for match in _PLACEHOLDER.finditer(text):
        if match.start() != end:
            break
        end = match.end()
        kind, argument, literal = match.groups()
        segments.append(partial(_literal, literal) if literal else _placeholder(text, kind, argument))
    if end != len(text) or not text:
        raise InvalidArgument(f"AutoNumberFormat '{text}' has braces without a placeholder such as {{SEQNUM:5}}.")
    return segments


def _placeholder(text: str, kind: str, argument: str) -> _Segment:
    if kind == "SEQNUM":
        return partial(_number, _length(text, argument))
    if kind == "RANDSTRING":
        length = _length(text, argument)
        if length > _MAX_RANDOM_LENGTH:
            raise InvalidArgument(f"AutoNumberFormat '{text}': RANDSTRING takes a length from 1 to 6, not {length}.")
        return partial(_random, length)
    if kind == "DATETIMEUTC":
        return partial(_moment, "".join(_date_part(text, part[0]) for part in _DATE_PART.finditer(argument)))
    raise InvalidArgument(f"AutoNumberFormat '{text}' can hold SEQNUM, RANDSTRING and DATETIMEUTC, not {kind}.")


def _length(text: str, argument: str) -> int:
    if not (argument.isascii() and argument.isdigit() and int(argument) > 0):
        raise InvalidArgument(f"AutoNumberFormat '{text}': '{argument}' is not a length.")
    return int(argument)


def _date_part(text: str, part: str) -> str:
    if part.isalpha() and part not in _DATE_PARTS:
        raise InvalidArgument(f"AutoNumberFormat '{text}': DATETIMEUTC takes {', '.join(_DATE_PARTS)}, not '{part}'.")
    return _DATE_PARTS.get(part, part.replace("%", "%%"))


def _literal(text: str, number: int, now: datetime) -> str:
    return text


def _number(length: int, number: int, now: datetime) -> str:
    return f"{number:0{length}}"


def _random(length: int, number: int, now: datetime) -> str:
    return "".join(secrets.choice(_RANDOM_CHARACTERS) for _ in range(length))


def _moment(pattern: str, number: int, now: datetime) -> str:
    return now.strftime(pattern)
