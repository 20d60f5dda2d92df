"""``runner serve --reload``: starts a new serving process whenever plug-ins, registrations or ``.env`` change.

A new process is the only sure way to be rid of old code. The listening socket stays open in this one, so that clients
wait during a change instead of being refused. Files that ``runner check`` refuses are reported and not loaded.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess, parent_process
from pathlib import Path

import click
from watchfiles import Change, watch

from runner.cli.serving import Serving, serve_on
from runner.registrations.load import load
from runner.registrations.plugins import source_directories
from runner.registrations.problems import RegistrationError, UnreadableRegistrationsError

#: Milliseconds between two looks at whether the serving process is still alive.
_LOOK_AFTER = 200


def serve_reloading(bound: socket.socket, serving: Serving, registrations: Path) -> None:
    """Serve until Ctrl-C or SIGTERM, in one process after the other; each ends in good order before the next starts."""
    # Python recognises compiled files by size and second, so two quick edits of the same length would look the same.
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    with _ending_with_us() as process:
        for changed in _changes(registrations):
            if changed is None:
                process.report_end()
            elif not changed or _is_sound(changed, registrations):
                process.replace(bound, serving)


class _Process:
    """The serving process, if there is one at the moment."""

    def __init__(self) -> None:
        self._process: BaseProcess | None = None

    def replace(self, bound: socket.socket, serving: Serving) -> None:
        self.end()
        self._process = multiprocessing.get_context("spawn").Process(target=_serve, args=(bound, serving))
        self._process.start()

    def report_end(self) -> None:
        """Report, once, that the process has ended by itself."""
        if self._process is not None and not self._process.is_alive():
            self._process = None
            click.echo("Nothing is served until a file changes.", err=True)

    def end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.join()
            except KeyboardInterrupt:
                # It waits for a plug-in, and says so; whoever does not want to wait loses nothing.
                self._process.kill()
                self._process.join()
            self._process = None


@contextmanager
def _ending_with_us() -> Iterator[_Process]:
    process = _Process()
    signals = {signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}
    before = {each: signal.signal(each, signal.default_int_handler) for each in signals}
    try:
        yield process
    except KeyboardInterrupt:
        pass  # Ctrl-C is the normal way to end
    finally:
        process.end()
        for each, handler in before.items():
            signal.signal(each, handler)


def _is_sound(changed: list[str], registrations: Path) -> bool:
    """Whether ``runner check`` accepts the changed files, in a new process that has not imported the old ones."""
    click.echo(f"{', '.join(changed)} changed.", err=True)
    command = [sys.executable, "-m", "runner.cli", "check", str(registrations)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own program
    if done.returncode:
        click.echo(f"{done.stdout}{done.stderr}Nothing is reloaded until that is corrected.", err=True)
    return done.returncode == 0


# --- in the process that serves -------------------------------------------------------------------------------


def _serve(bound: socket.socket, serving: Serving) -> None:
    from runner.cli.main import Failure

    if hasattr(os, "setpgrp"):
        # Ctrl-C reaches only our parent, which then ends us; a signal of our own would interrupt our orderly end.
        os.setpgrp()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        serve_on(bound, serving)
    except Exception as error:
        failure = Failure(error)
        failure.show()
        sys.exit(failure.exit_code)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        signal.raise_signal(signal.SIGTERM)


# --- files ----------------------------------------------------------------------------------------------------


def _changes(registrations: Path) -> Iterator[list[str] | None]:
    """The names of the files that changed: an empty list when watching has begun, None when nothing did for a while."""
    changed: list[str] = []
    directories = _directories(registrations, set())
    while True:
        watching = watch(
            *directories,
            watch_filter=_Filter(registrations),
            recursive=False,
            yield_on_timeout=True,
            rust_timeout=_LOOK_AFTER,
        )
        changed += _names(next(watching))
        yield changed
        for found in watching:
            changed = _names(found)
            there = _directories(registrations, directories) if changed else directories
            if there != directories:
                # What has changed is told when the new ones are watched, too: nothing is missed in between.
                directories = there
                break
            yield changed or None


class _Filter:
    """The registrations, the settings, and whatever is Python."""

    def __init__(self, registrations: Path) -> None:
        self._files = {registrations.resolve(), Path(".env").resolve()}

    def __call__(self, _: Change, name: str) -> bool:
        return name.endswith(".py") or Path(name) in self._files


def _directories(registrations: Path, known: set[Path]) -> set[Path]:
    """Where the files are; ``known`` while the registrations cannot be read.

    Each by itself: watching everything below the project would watch its virtual environment, too.
    """
    try:
        read = load(registrations)
    except (RegistrationError, UnreadableRegistrationsError):
        return known | {registrations.resolve().parent, Path.cwd()}
    plugins = [step.plugin for step in read.steps] + [api.plugin for api in read.custom_apis.values() if api.plugin]
    return {registrations.resolve().parent, Path.cwd(), *source_directories(plugins)}


def _names(changes: set[tuple[Change, str]]) -> list[str]:
    return sorted({os.path.relpath(name) for _, name in changes})
