"""Polls the tables that steps are registered for, once or repeatedly."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from azure_bridge.queues.contract import QueueUnavailableError
from azure_bridge.redaction import redact
from dataverse_client.errors import DataverseError
from runner.intake.errors import SeenRowsError
from runner.intake.polled_notifications import PolledNotifications
from runner.intake.poller import Poller
from runner.intake.seen_rows import SeenRows
from runner.service.wiring import Service, made_directory
from runner.settings import Settings, SettingsError

SEEN_FILE = "poll.db"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Polling:
    """A poller and the tables it looks at."""

    poller: Poller
    tables: Sequence[str]

    def once(self, *, from_beginning: bool = False) -> dict[str, int]:
        """Table -> how many notifications were put on the queue.

        Raises:
          DataverseError, QueueUnavailableError, SeenRowsError: what was found so far is kept.
        """
        return {table: self.poller.poll(table, from_beginning=from_beginning) for table in self.tables}

    def forever(self, seconds: float, *, from_beginning: bool = False) -> None:
        """Again and again, ``seconds`` apart. What is away for a while is told in the log, and waited for."""
        pause = threading.Event()
        while True:
            try:
                self.once(from_beginning=from_beginning)
            except (DataverseError, QueueUnavailableError, SeenRowsError) as error:
                _log.warning("Polling: %s", redact(str(error)))
            pause.wait(seconds)


@contextmanager
def polling(service: Service, settings: Settings, tables: Sequence[str] = ()) -> Iterator[Polling]:
    """For ``tables``, or all that deferred steps are registered for.

    Raises:
      SettingsError: there is nothing to poll.
      DataverseError: the environment does not say which organization it is.
      SeenRowsError: what was seen so far cannot be read, or is another organization's.
    """
    chosen = tuple(tables) or service.directory.tables
    if not chosen:
        raise SettingsError(
            f"No deferred step of {settings.runner_registrations} names a table, so there is none to poll. Name one: "
            "runner poll --table new_payment"
        )
    organization_id = service.resources.client.who_am_i().organization_id
    seen = SeenRows(made_directory(settings) / SEEN_FILE)
    try:
        seen.belong_to(organization_id)
        notifications = PolledNotifications(service.directory, organization_id, service.resources.clock)
        yield Polling(Poller(service.resources.client, service.events, seen, notifications), chosen)
    finally:
        seen.close()
