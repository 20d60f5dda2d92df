"""The options of ``runner queue``: which queue, which messages, and how to answer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

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
reason_option = click.option("--reason", metavar="REASON", help="Dead-lettered for this reason.")
limit_option = click.option(
    "--limit", type=click.IntRange(1), default=20, show_default=True, help="Show at most this many."
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for programs.")


def on_queue(command: Callable[..., None]) -> Callable[..., None]:
    """Gives the command the open queue that ``--queue`` names."""

    @click.option("--queue", "name", metavar="NAME", help="Which queue. [default: PAYMENT_EVENTS_QUEUE]")
    @functools.wraps(command)
    def with_queue(*, name: str | None, **options: Any) -> None:
        with opened_queue(load_settings(), name) as opened:
            command(opened, **options)

    return with_queue


def by_criteria(command: Callable[..., None]) -> Callable[..., None]:
    """Gives the command its filter options as one ``criteria``."""

    @_older_than
    @_newer_than
    @functools.wraps(command)
    def with_criteria(
        *arguments: Any,
        older_than: timedelta | None,
        newer_than: timedelta | None,
        reason: str | None = None,
        **options: Any,
    ) -> None:
        from runner.cli.queue_selection import Criteria

        command(*arguments, criteria=Criteria(reason, older_than, newer_than), **options)

    return with_criteria


def selecting(command: Callable[..., None]) -> Callable[..., None]:
    """Gives the command the dead letters meant: by number, by criteria, or all of them."""

    @click.argument("numbers", nargs=-1, type=click.IntRange(1))
    @click.option("--all", "everything", is_flag=True, help="All dead letters of the queue.")
    @reason_option
    @by_criteria
    @functools.wraps(command)
    def with_selection(
        opened: MessageQueue, *, numbers: tuple[int, ...], criteria: Criteria, everything: bool, **options: Any
    ) -> None:
        command(opened, selection=_select(opened, numbers, criteria, everything), **options)

    return with_selection


def load_settings() -> Settings:
    from runner.settings import Settings

    return Settings.load()


def queue_names(settings: Settings) -> tuple[str, ...]:
    return settings.payment_events_queue, settings.dataverse_events_queue


@contextmanager
def opened_queue(settings: Settings, name: str | None) -> Iterator[MessageQueue]:
    """The queue. If the embedded queues do not exist yet, an empty temporary one, so that nothing is created."""
    from azure_bridge.queues import embedded_exists, open_queue

    name = name or settings.payment_events_queue
    if name not in queue_names(settings):
        raise click.UsageError(
            f"There is no queue {name}: PAYMENT_EVENTS_QUEUE and DATAVERSE_EVENTS_QUEUE name "
            f"{' and '.join(queue_names(settings))}."
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
