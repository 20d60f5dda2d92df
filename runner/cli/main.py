"""The ``runner`` command. Commands are imported when they are run, so ``--help`` answers at once.

Exit codes: 0 success, 1 the command failed, 2 it could not start (wrong options or settings, missing files).
"""

from __future__ import annotations

import importlib
from typing import Any

import click

from runner.cli.color import wanted_color

#: Each command, with where it is defined and its line in ``runner --help``.
COMMANDS = {
    "check": ("runner.cli.check:check", "Check registrations.yaml and the plug-ins it names."),
    "plan": ("runner.cli.plan:plan", "Show what apply would change in the environment."),
    "apply": ("runner.cli.apply:apply", "Register the steps of registrations.yaml in the environment."),
    "pull": ("runner.cli.pull:pull", "Write what is registered in the environment to a file."),
    "doctor": ("runner.cli.doctor:doctor", "Check that the configuration works, end to end."),
    "simulate": ("runner.cli.simulate:simulate", "Take a row through the plug-ins to Stripe and back."),
    "queue": ("runner.cli.queue:queue", "Inspect the queues, and handle their dead letters."),
    "reconcile": ("runner.cli.reconcile:reconcile", "Compare Stripe with CRM, and repair what differs."),
    "emulate": ("runner.cli.emulate:emulate", "Serve the embedded Dataverse to any client of its Web API."),
    "serve": ("runner.cli.serve:serve", "Receive webhooks of Dataverse and Stripe, and process them."),
    "work": ("runner.cli.work:work", "Process the queues, without receiving webhooks."),
    "listen": ("runner.cli.listen:listen", "Process what Dataverse itself puts on a Service Bus queue."),
    "poll": ("runner.cli.poll:poll", "Poll Dataverse for changes, where it sends no notifications."),
}


class LazyGroup(click.Group):
    """A group that imports a command only to run it or to show the command's own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib  # for this alone

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            advice = f" Did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"{error.message}{advice}", ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if ctx.params["traceback"]:
                _show_traceback(error)
            raise Failure(error) from error


class Failure(click.ClickException):
    """Any error, shown as its message, with secrets masked. The error's class may set an ``exit_code``."""

    def __init__(self, error: Exception) -> None:
        from azure_bridge.redaction import redact

        super().__init__(redact(_words(error)))
        self.exit_code = getattr(error, "exit_code", 1)  # type: ignore[misc]  # click reads it from the instance


def _words(error: Exception) -> str:
    """An error of the operating system without its number, and with the file it is about."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
    return str(error) or type(error).__name__


def _show_traceback(error: Exception) -> None:
    import traceback

    from azure_bridge.redaction import redact

    click.echo(redact("".join(traceback.format_exception(error))), err=True)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dataverse-plugin-runner", prog_name="runner", message="%(prog)s %(version)s")
@click.option("--traceback", is_flag=True, help="Show where in the code an error came from.")
def runner(traceback: bool) -> None:
    """Dataverse plug-ins in Python that keep Stripe payments and CRM rows in step."""
    click.get_current_context().color = wanted_color()
