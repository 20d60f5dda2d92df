"""The timeline on the terminal, for the commands that serve or work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runner.cli.color import wanted_color

if TYPE_CHECKING:
    from runner.tracing.model import TraceSink


def timeline() -> TraceSink:
    """Tells what plug-ins do as it happens: each thread's part as a timeline of its own."""
    from functools import partial

    from runner.emulator.metadata.load import load_metadata
    from runner.simulation.report import ValueFormatter
    from runner.tracing.console import ConsoleTimeline
    from runner.tracing.recorder import PerThread

    write = partial(click.echo, color=wanted_color())
    format_value = ValueFormatter(load_metadata())
    return PerThread(partial(ConsoleTimeline, write, format_value, click.style, hidden=format_value.hidden))
