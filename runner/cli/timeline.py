"""The timeline on the terminal, for the commands that serve or work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from runner.tracing.model import TraceSink


def timeline() -> TraceSink:
    """Tells what plug-ins do as it happens: each thread's part as a timeline of its own."""
    from functools import partial

    from runner.emulator.metadata.load import load_metadata
    from runner.simulation.telling import ValueFormatter
    from runner.tracing.console import ConsoleTimeline
    from runner.tracing.recorder import PerThread

    # Other threads have no click context to ask for the colour.
    write = partial(click.echo, color=click.get_current_context().color)
    format_value = ValueFormatter(load_metadata())
    return PerThread(partial(ConsoleTimeline, write, format_value, click.style, hidden=format_value.hidden))
