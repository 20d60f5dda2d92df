"""``runner queue``: inspect the queues, and resubmit or remove messages."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.queue_options import (
    by_criteria,
    json_option,
    limit_option,
    load_settings,
    on_queue,
    opened_queue,
    queue_names,
    reason_option,
    selecting,
    yes_option,
)
from runner.wording import counted

if TYPE_CHECKING:
    from azure_bridge.queues.contract import MessageQueue
    from runner.cli.queue_selection import Criteria, Selection
    from runner.settings import Settings


@click.group()
def queue() -> None:
    """Inspect the queues, and resubmit or remove messages.

    With SERVICEBUS_CONNECTION_STRING or SERVICEBUS_NAMESPACE set the queues are at Azure Service Bus, otherwise they
    are the embedded ones in RUNNER_DATA_DIR. NUMBERS are sequence numbers, as the lists show them. Exit code 0 when
    everything was done, 1 when some of it was not, 2 when an option is wrong.
    """


@queue.command("list", short_help="Count the messages that wait, and the dead letters.")
@json_option
def list_queues(as_json: bool) -> None:
    """Count the messages that wait, are locked, are scheduled, and are dead letters."""
    from runner.cli import queue_view

    settings = load_settings()
    counts = {}
    for name in queue_names(settings):
        with opened_queue(settings, name) as opened:
            counts[name] = opened.counts()
    queue_view.show_counts(counts, _engine(settings), as_json=as_json)


@queue.command(short_help="Show messages that wait, are locked or are scheduled.")
@limit_option
@json_option
@on_queue
@by_criteria
def peek(opened: MessageQueue, criteria: Criteria, limit: int, as_json: bool) -> None:
    """Show messages that wait, are locked or are scheduled, the oldest first, without locking them."""
    from runner.cli import queue_view
    from runner.cli.queue_selection import browse

    queue_view.show_waiting(list(browse(opened, criteria, limit)), as_json=as_json)


@queue.command("dead-letters")
@limit_option
@json_option
@reason_option
@on_queue
@by_criteria
def dead_letters(opened: MessageQueue, criteria: Criteria, limit: int, as_json: bool) -> None:
    """Show the dead letters with their reasons, the oldest first."""
    from runner.cli import queue_view
    from runner.cli.queue_selection import browse

    queue_view.show_dead(list(browse(opened, criteria, limit, dead_letters=True)), as_json=as_json)


@queue.command()
@click.argument("which", metavar="NUMBER|MESSAGE-ID")
@json_option
@on_queue
def show(opened: MessageQueue, which: str, as_json: bool) -> None:
    """Show one message with its body, waiting or dead letter."""
    from runner.cli import queue_view
    from runner.cli.queue_selection import find

    found = find(opened, which)
    if found is None:
        raise click.ClickException(f"Queue {opened.name} has no message {which}. See: runner queue peek")
    queue_view.show_one(found, as_json=as_json)


@queue.command()
@click.option("--dry-run", is_flag=True, help="Only show which would be sent again.")
@yes_option
@json_option
@on_queue
@selecting
def resubmit(opened: MessageQueue, selection: Selection, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Send dead letters again, once the cause is fixed. Asks first for more than one.

    Each is sent under a new id such as evt_1:resubmit-1, because duplicate detection would drop the old one.

    \b
    Try:
      runner queue resubmit 17 18
      runner queue resubmit --reason RowNotFound --newer-than 1d
    """
    from runner.cli import queue_view

    if not dry_run:
        if len(selection.messages) > 1:
            _confirm(f"Send {_how_many(selection)} of queue {opened.name} again?", yes)
        selection = _handle("Sending again", selection, opened.resubmit)
    queue_view.show_resubmitted(selection, dry_run=dry_run, as_json=as_json)
    _exit_unless(not selection.gone)


@queue.command()
@yes_option
@json_option
@on_queue
@selecting
def discard(opened: MessageQueue, selection: Selection, yes: bool, as_json: bool) -> None:
    """Remove dead letters for good. Asks first."""
    from runner.cli import queue_view

    if selection.messages:
        _confirm(f"Remove {_how_many(selection)} of queue {opened.name} for good?", yes)
    selection = _handle("Removing", selection, opened.discard)
    queue_view.show_discarded(selection, as_json=as_json)
    _exit_unless(not selection.gone)


@queue.command()
@yes_option
@json_option
@on_queue
def purge(opened: MessageQueue, yes: bool, as_json: bool) -> None:
    """Remove every waiting message without processing it. Asks first.

    Scheduled messages, locked messages and dead letters stay; use discard for dead letters.
    """
    from runner.cli import queue_view

    waiting = opened.counts().active
    _confirm(
        f"Remove {counted(waiting, 'message')} of queue {opened.name}, unprocessed and for good?",
        yes or not waiting,
    )
    removed = 0
    while messages := opened.receive(100):
        opened.complete(messages)
        removed += len(messages)
    queue_view.show_purged(opened.name, removed, as_json=as_json)


@queue.command(short_help="Apply the waiting payment events to their CRM rows.")
@click.option(
    "--registrations",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="What the bridge writes. [default: RUNNER_REGISTRATIONS or registrations.yaml]",
)
@json_option
def drain(registrations: Path | None, as_json: bool) -> None:
    """Apply the waiting payment events to their CRM rows, until none is left.

    What cannot be applied yet is scheduled for later. Exit code 1 when a message became a dead letter.
    """
    from runner.cli import queue_view
    from runner.cli.queue_drain import payment_processor

    settings = load_settings()
    with opened_queue(settings, None) as opened, payment_processor(settings, registrations) as processor:
        summary = processor.drain(opened)
        queue_view.show_drained(opened.name, summary, as_json=as_json)
    _exit_unless(not summary.dead_lettered)


def _engine(settings: Settings) -> str:
    if settings.is_at_service_bus:
        return "at Azure Service Bus"
    return f"embedded, in {settings.runner_data_dir}"


def _handle(what: str, selection: Selection, action: Callable[..., None]) -> Selection:
    from runner.cli.queue_selection import handle

    with click.progressbar(
        length=len(selection.messages), label=what, file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:
        return handle(selection, action, bar.update)


def _how_many(selection: Selection) -> str:
    return counted(len(selection.messages), "dead letter")


def _confirm(question: str, yes: bool) -> None:
    if not yes:
        click.confirm(question, abort=True, err=True)


def _exit_unless(all_well: bool) -> None:
    if not all_well:
        click.get_current_context().exit(1)
