"""The ``runner`` command. Commands are imported when they are run, so ``--help`` answers at once.

Exit codes: 0 done, 1 the thing asked for failed, 2 the question was wrong (options, settings, missing files).
"""

from __future__ import annotations

import importlib
import sys
import traceback
from typing import NoReturn

import click

#: Command -> (where it lives, what ``runner --help`` says of it).
COMMANDS = {
    "check": ("runner.cli.check:check", "Check registrations.yaml and the plug-ins it names."),
    "simulate": ("runner.cli.simulate:simulate", "Take a row through the plug-ins to Stripe and back."),
}


class LazyGroup(click.Group):
    """Knows its commands by name and imports one only to run it or to show its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dataverse-plugin-runner", prog_name="runner", message="%(prog)s %(version)s")
@click.option("--traceback", is_flag=True, help="Show where in the code an error came from.")
def runner(traceback: bool) -> None:
    """Dataverse plug-ins in Python that keep Stripe payments and CRM rows in step."""


def main() -> NoReturn:
    """Run the command line; every error becomes one redacted sentence and an exit code."""
    try:
        status = runner(standalone_mode=False)
    except click.exceptions.Exit as leave:
        status = leave.exit_code
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        status = 130
    except Exception as error:
        status = _report(error)
    sys.exit(status if isinstance(status, int) else 0)


def _report(error: Exception) -> int:
    """An error class may say which exit code it deserves with an ``exit_code`` attribute."""
    from azure_bridge.secrets import redact

    if "--traceback" in sys.argv:
        click.echo(redact("".join(traceback.format_exception(error))), err=True)
    text = str(error) or type(error).__name__
    click.echo(f"Error: {redact(text)}", err=True)
    return int(getattr(error, "exit_code", 1))
