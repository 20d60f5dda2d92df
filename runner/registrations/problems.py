"""Problems of a registrations file, worded so that a person can correct them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""Keys and list positions from the top of the file: ``("steps", 0, "stage")``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong at a path of the data. A :class:`Problem` adds the place in the file."""

    path: Path
    message: str
    hint: str = ""
    code: int | None = None
    url: str | None = None
    #: The key itself is wrong, not its value.
    at_key: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """One thing to correct. ``line`` and ``column`` count from 1; ``code`` is Dataverse's own error code for it."""

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str = ""
    code: int | None = None
    url: str | None = None

    @property
    def dataverse_code(self) -> str:
        """``0x80044184``, as the platform's error list writes it; empty where there is none."""
        return "" if self.code is None else f"0x{self.code:08x}"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: "
        what = f"{self.path}: {self.message}" if self.path else self.message
        source = ", ".join(filter(None, (self.dataverse_code, self.url)))
        return place + " ".join(filter(None, (what, self.hint, f"[{source}]" if source else "")))


class RegistrationError(Exception):
    """The file cannot be used. ``problems`` lists everything that is wrong with it, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class UnreadableRegistrationsError(Exception):
    """The registrations file does not exist or cannot be opened: name another one."""

    exit_code = 2
    advice = "Start in the directory that has it, or name it: on the command line, or in RUNNER_REGISTRATIONS."

    def __init__(self, file: object, error: OSError) -> None:
        self.finding = f"{file} cannot be read: {error.strerror}"
        super().__init__(f"{self.finding}. {self.advice}")


def dotted(path: Path) -> str:
    """A path as text.

    >>> dotted(("steps", 0, "images", 1, "alias"))
    'steps[0].images[1].alias'
    """
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most similar to ``word``, ignoring case; None when none is similar."""
    by_folded = {each.casefold(): each for each in known}
    matches = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.7)
    return by_folded[matches[0]] if matches else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known word, or else all of them."""
    words = list(known)
    match = nearest(word, words)
    return f"Did you mean {match}?" if match else f"Known: {', '.join(words)}."
