"""``runner queue``: inspect the queues, and resubmit or remove messages."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from runner.wording import counted

if TYPE_CHECKING:
    from datetime import timedelta

    from azure_bridge.queues.contract import MessageQueue
    from runner.cli.queue_selection import Criteria, Selection
    from runner.settings import Settings


def _age(_: click.Context, option: click.Parameter, value: str | None) -> timedelta | None:
    """``90s``, ``15m``, ``2h`` or ``3d``."""
    if value is None:
        return None
    from runner.settings import age

    try:
        return age(value)
    except ValueError as error:
        raise click.BadParameter(str(error), param=option) from None


_older_than = click.option(
    "--older-than", callback=_age, metavar="AGE", help="Arrived longer ago than AGE, such as 3d."
)
_newer_than = click.option(
    "--newer-than", callback=_age, metavar="AGE", help="Arrived within the last AGE, such as 2h."
)
_reason = click.option("--reason", metavar="REASON", help="Dead-lettered for this reason.")
_limit = click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Show at most this many.")
_yes = click.option("--yes", is_flag=True, help="Do not ask.")
_json = click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for programs.")


def _on_queue(command: Callable[..., None]) -> Callable[..., None]:
    """Gives the command the open queue that ``--queue`` names."""

    @click.option("--queue", "name", metavar="NAME", help="Which queue. [default: PAYMENT_EVENTS_QUEUE]")
    @functools.wraps(command)
    def on_queue(*, name: str | None, **options: Any) -> None:
        with _opened(_settings(), name) as opened:
            command(opened, **options)

    return on_queue


def _by_criteria(command: Callable[..., None]) -> Callable[..., None]:
    """Gives the command its filter options as one ``criteria``."""

    @_older_than
    @_newer_than
    @functools.wraps(command)
    def by_criteria(
        *arguments: Any,
        older_than: timedelta | None,
        newer_than: timedelta | None,
        reason: str | None = None,
        **options: Any,
    ) -> None:
        from runner.cli.queue_selection import Criteria

        command(*arguments, criteria=Criteria(reason, older_than, newer_than), **options)

    return by_criteria


def _picking(command: Callable[..., None]) -> Callable[..., None]:
    """Gives the command the dead letters meant: by number, by criteria, or all of them."""

    @click.argument("numbers", nargs=-1, type=click.IntRange(1))
    @click.option("--all", "everything", is_flag=True, help="All dead letters of the queue.")
    @_reason
    @_by_criteria
    @functools.wraps(command)
    def picking(
        opened: MessageQueue, *, numbers: tuple[int, ...], criteria: Criteria, everything: bool, **options: Any
    ) -> None:
        command(opened, selection=_select(opened, numbers, criteria, everything), **options)

    return picking


@click.group()
def queue() -> None:
    """Inspect the queues, and resubmit or remove messages.

    With SERVICEBUS_CONNECTION_STRING or SERVICEBUS_NAMESPACE set the queues are at Azure Service Bus, otherwise they
    are the embedded ones in RUNNER_DATA_DIR. NUMBERS are sequence numbers, as the lists show them. Exit code 0 when
    everything was done, 1 when some of it was not, 2 when an option is wrong.
    """


@queue.command("list", short_help="Count the messages that wait, and the dead letters.")
@_json
def list_queues(as_json: bool) -> None:
    """Count the messages that wait, are locked, are scheduled, and are dead letters."""
    from runner.cli import queue_view

    settings = _settings()
    counts = {}
    for name in _names(settings):
        with _opened(settings, name) as opened:
            counts[name] = opened.counts()
    queue_view.show_counts(counts, _engine(settings), as_json=as_json)


@queue.command(short_help="Show messages that wait, are locked or are scheduled.")
@_limit
@_json
@_on_queue
@_by_criteria
def peek(opened: MessageQueue, criteria: Criteria, limit: int, as_json: bool) -> None:
    """Show messages that wait, are locked or are scheduled, the oldest first, without locking them."""
    from runner.cli import queue_view
    from runner.cli.queue_selection import browse

    queue_view.show_waiting(list(browse(opened, criteria, limit)), as_json=as_json)


@queue.command("dead-letters")
@_limit
@_json
@_reason
@_on_queue
@_by_criteria
def dead_letters(opened: MessageQueue, criteria: Criteria, limit: int, as_json: bool) -> None:
    """Show the dead letters with their reasons, the oldest first."""
    from runner.cli import queue_view
    from runner.cli.queue_selection import browse

    queue_view.show_dead(list(browse(opened, criteria, limit, dead_letters=True)), as_json=as_json)


@queue.command()
@click.argument("which", metavar="NUMBER|MESSAGE-ID")
@_json
@_on_queue
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
@_yes
@_json
@_on_queue
@_picking
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
@_yes
@_json
@_on_queue
@_picking
def discard(opened: MessageQueue, selection: Selection, yes: bool, as_json: bool) -> None:
    """Remove dead letters for good. Asks first."""
    from runner.cli import queue_view

    if selection.messages:
        _confirm(f"Remove {_how_many(selection)} of queue {opened.name} for good?", yes)
    selection = _handle("Removing", selection, opened.discard)
    queue_view.show_discarded(selection, as_json=as_json)
    _exit_unless(not selection.gone)


@queue.command()
@_yes
@_json
@_on_queue
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
@_json
def drain(registrations: Path | None, as_json: bool) -> None:
    """Apply the waiting payment events to their CRM rows, until none is left.

    What cannot be applied yet is scheduled for later. Exit code 1 when a message became a dead letter.
    """
    from runner.cli import queue_view
    from runner.cli.queue_drain import payment_processor

    settings = _settings()
    with _opened(settings, None) as opened, payment_processor(settings, registrations) as processor:
        summary = processor.drain(opened)
        queue_view.show_drained(opened.name, summary, as_json=as_json)
    _exit_unless(not summary.dead_lettered)


def _settings() -> Settings:
    from runner.settings import Settings

    return Settings.load()


def _names(settings: Settings) -> tuple[str, ...]:
    return settings.payment_events_queue, settings.dataverse_events_queue


def _engine(settings: Settings) -> str:
    if settings.is_at_service_bus:
        return "at Azure Service Bus"
    return f"embedded, in {settings.runner_data_dir}"


@contextmanager
def _opened(settings: Settings, name: str | None) -> Iterator[MessageQueue]:
    """The queue. If the embedded queues do not exist yet, an empty temporary one, so that nothing is created."""
    from azure_bridge.queues import embedded_exists, open_queue

    name = name or settings.payment_events_queue
    if name not in _names(settings):
        raise click.UsageError(
            f"There is no queue {name}: PAYMENT_EVENTS_QUEUE and DATAVERSE_EVENTS_QUEUE name "
            f"{' and '.join(_names(settings))}."
        )
    with ExitStack() as leaving:
        directory = settings.runner_data_dir
        if not embedded_exists(directory):
            directory = Path(leaving.enter_context(TemporaryDirectory()))
        opened = open_queue(
            name,
            directory=directory,
            connection_string=settings.servicebus_connection_string,
            namespace=settings.servicebus_namespace,
        )
        yield leaving.enter_context(closing(opened))


def _select(opened: MessageQueue, numbers: tuple[int, ...], criteria: Criteria, everything: bool) -> Selection:
    from runner.cli.queue_selection import Selection, browse, numbered_dead_letters

    if bool(numbers) + criteria.narrows + everything != 1:
        raise click.UsageError("Say which dead letters: by their numbers, by --reason and age, or --all.")
    if numbers:
        return numbered_dead_letters(opened, numbers)
    return Selection(list(browse(opened, criteria, dead_letters=True)))


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
