"""Fails every test that lets a planted secret out: in its output, its log, or what a command or process said to it.

A secret that a test plants looks like one of Stripe's, or holds one of ``MARKERS``: so it is recognised wherever it
turns up, in a run of any size and in each of its workers.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from io import TextIOBase
from typing import Any

import pytest
from click.testing import CliRunner, Result

#: Part of every planted secret that does not look like one. The last is the key of the Service Bus stand-in.
MARKERS = ("of-the-vault", "of this test", "planted", "s3cr3t", "hunter-", "any-secret", "abcDEF=", "c2VjcmV0")
#: The simulator's own key is no secret: ``runner serve --help`` tells it.
_STRIPES = (r"\b[sr]k_(?:test|live)_(?!simulator\b)\w+", r"\bwhsec_[\w+/=]+", r"\b(?:pi|seti|cs)_\w+?_secret_\w+")
_PLANTED = re.compile("|".join([*_STRIPES, *map(re.escape, MARKERS)]))


class Leaks:
    """A plug-in of pytest, which hears what tests hear from commands and processes."""

    def __init__(self) -> None:
        self._heard: list[str] = []
        self._patches = pytest.MonkeyPatch()

    def hear(self, where: str, text: str | bytes | None) -> None:
        said = text.decode(errors="replace") if isinstance(text, bytes) else text or ""
        # The secret itself is not repeated: it would leak into the report of the leak.
        self._heard += [f"{where} holds {match[0][:6]}... at {match.start()}" for match in _PLANTED.finditer(said)]

    @pytest.hookimpl
    def pytest_sessionstart(self) -> None:
        self._patches.setattr(CliRunner, "invoke", _heard_from_commands(self, CliRunner.invoke))
        self._patches.setattr(subprocess.Popen, "__init__", _heard_from_pipes(self, subprocess.Popen.__init__))
        self._patches.setattr(subprocess.Popen, "communicate", _heard_at_once(self, subprocess.Popen.communicate))

    @pytest.hookimpl
    def pytest_sessionfinish(self) -> None:
        self._patches.undo()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Iterator[None]:
        report: Any = yield
        if call.when == "teardown":
            for name, text in report.sections:
                self.hear(name, text)
            leaks, self._heard = self._heard, []
            if leaks:
                report.outcome = "failed"
                report.longrepr = "\n".join(["A planted secret got out. Redact it where it is printed.", *leaks])
        return report


def _heard_from_commands(leaks: Leaks, invoke: Any) -> Any:
    def listening(runner: CliRunner, command: Any, *arguments: Any, **options: Any) -> Result:
        result: Result = invoke(runner, command, *arguments, **options)
        leaks.hear(f"what {command.name} printed", result.output)
        return result

    return listening


def _is_ours(process: Any) -> bool:
    """What an API answers to curl is data, which has client secrets in it."""
    return "curl " not in str(process.args)


def _heard_from_pipes(leaks: Leaks, start: Any) -> Any:
    def listening(process: Any, *arguments: Any, **options: Any) -> None:
        start(process, *arguments, **options)
        for name in ("stdout", "stderr"):
            if isinstance(pipe := getattr(process, name), TextIOBase) and _is_ours(process):
                setattr(process, name, _Overheard(pipe, leaks, f"the {name} of {process.args!r}"))

    return listening


def _heard_at_once(leaks: Leaks, communicate: Any) -> Any:
    def listening(process: Any, *arguments: Any, **options: Any) -> Any:
        said = communicate(process, *arguments, **options)
        for text in said if _is_ours(process) else ():
            leaks.hear(f"the output of {process.args!r}", text)
        return said

    return listening


class _Overheard:
    """A pipe of text, and somebody who listens to what is read from it."""

    def __init__(self, pipe: Any, leaks: Leaks, where: str) -> None:
        self._pipe, self._leaks, self._where = pipe, leaks, where

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipe, name)

    def __enter__(self) -> _Overheard:
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()

    def __iter__(self) -> Iterator[str]:
        return iter(self.readline, "")

    def readline(self, *arguments: Any) -> str:
        return self._hear(self._pipe.readline(*arguments))

    def read(self, *arguments: Any) -> str:
        return self._hear(self._pipe.read(*arguments))

    def readlines(self) -> list[str]:
        return list(self)

    def _hear(self, text: str) -> str:
        self._leaks.hear(self._where, text)
        return text
