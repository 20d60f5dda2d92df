"""Options that ``serve``, ``work``, ``listen``, ``poll`` and ``reconcile`` share, and the settings made from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from runner.settings import Settings
    from runner.tracing.model import TraceSink

registrations_option = click.option(
    "--registrations",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Which plug-ins run, and what the bridge writes. [default: RUNNER_REGISTRATIONS or registrations.yaml]",
)
concurrency_option = click.option(
    "--concurrency",
    type=click.IntRange(1, 256),
    default=4,
    show_default=True,
    help="Rows whose notifications are handled at the same time.",
)
quiet_option = click.option("--quiet", is_flag=True, help="Do not show what plug-ins do.")


def settings_with(registrations: Path | None) -> Settings:
    """The settings, with the registrations file of the command line if it names one. Raises SettingsError."""
    from runner.settings import Settings

    settings = Settings.load()
    return replace(settings, runner_registrations=registrations) if registrations else settings


def remote_settings_with(registrations: Path | None) -> Settings:
    """The settings for a command that needs a Dataverse outside this process. Raises SettingsError without one."""
    from runner.settings import SettingsError

    settings = settings_with(registrations)
    if settings.dataverse_url is None:
        raise SettingsError(
            "DATAVERSE_URL is not set, and the embedded Dataverse lives in the process of `runner serve`, which works "
            "for it alone. Give the address of an environment, or of `runner emulate`."
        )
    return settings


def sink(quiet: bool) -> TraceSink:
    """The trace sink: the timeline on the terminal, or none."""
    if quiet:
        from runner.tracing.recorder import Silence

        return Silence()
    from runner.cli.timeline import timeline

    return timeline()


def place_of(settings: Settings) -> str:
    """Where Dataverse is, in a few words."""
    return settings.dataverse_url or "the embedded Dataverse"
