"""Compares Stripe and CRM page by page, so that memory does not grow with the number of payments.

There are three passes: over Stripe's events, over Stripe's intents, and over CRM's rows that wait for money. Each page
comes with a :class:`~azure_bridge.reconcile.cursor.Cursor` from which another run can continue.

What is younger than :data:`GRACE` is left out: its webhook, its queue message or its row's transaction may still be
in progress.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from azure_bridge.clock import Clock, SystemClock
from azure_bridge.crm_rows import CrmClient
from azure_bridge.reconcile.cursor import Cursor, CursorUnreadableError
from azure_bridge.reconcile.differences import Difference
from azure_bridge.reconcile.events import EventComparison
from azure_bridge.reconcile.intents import IntentComparison
from azure_bridge.reconcile.rows import MODIFIED, RowComparison
from azure_bridge.stripe_events import StripeObject
from azure_bridge.tables import BridgeConfiguration

if TYPE_CHECKING:
    import stripe

#: Longer than a transaction may take in Dataverse, and longer than an event waits in a healthy queue.
GRACE = timedelta(minutes=5)

EVENTS, INTENTS, ROWS = "events", "intents", "rows:"
_PAGE = 100
#: Stripe's list of events can be filtered by at most this many types.
_MOST_TYPES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The result of one page. ``cursor`` is where the next begins; ``done`` is the share of the pass so far, 0 to 1."""

    cursor: Cursor
    differences: Sequence[Difference]
    compared: int
    done: float


class Reconciliation:
    """Compares one Stripe account with one Dataverse organization, and changes neither."""

    def __init__(
        self,
        client: CrmClient,
        stripe_client: stripe.StripeClient,
        configuration: BridgeConfiguration,
        *,
        clock: Clock | None = None,
    ) -> None:
        self._stripe = stripe_client.v1
        self._configuration = configuration
        self._clock = clock or SystemClock()
        self._events = EventComparison(client, configuration)
        self._intents = IntentComparison(client, stripe_client, configuration, self._clock)
        self._rows = RowComparison(client, stripe_client, self._intents)

    def begin(self, since: datetime, *, undelivered: bool = False) -> Cursor:
        """The cursor to start a run with, over everything that happened after ``since``.

        With ``undelivered`` only events that Stripe could not deliver are compared, which is quick.
        """
        return Cursor(
            since=since,
            until=self._clock.now() - GRACE,
            organization_id=self._configuration.organization_id,
            undelivered=undelivered,
            stage=EVENTS,
        )

    def pages(self, cursor: Cursor) -> Iterator[Page]:
        """The pages from ``cursor`` on. A page is read when it is asked for, after the one before has been repaired.

        Raises:
          CursorUnreadableError: it points into a table that is no longer configured, or at an object that Stripe does
            not know.
          DataverseError, StripeError: continue later, from the last page's cursor.
        """
        stages = self._stages(cursor)
        if cursor.stage not in stages:
            raise CursorUnreadableError(
                f"The interrupted run was at {cursor.stage}, which is not compared any more: start without --resume."
            )
        for stage in stages[stages.index(cursor.stage) :]:
            start = cursor if stage == cursor.stage else replace(cursor, stage=stage, after=None)
            yield from self._stage(start)

    def _stages(self, cursor: Cursor) -> list[str]:
        if cursor.undelivered:
            return [EVENTS]
        return [EVENTS, INTENTS, *(f"{ROWS}{table.logical_name}" for table in self._configuration.tables)]

    def _stage(self, cursor: Cursor) -> Iterator[Page]:
        if cursor.stage == EVENTS:
            return self._event_pages(cursor)
        return self._intent_pages(cursor) if cursor.stage == INTENTS else self._row_pages(cursor)

    def _event_pages(self, cursor: Cursor) -> Iterator[Page]:
        types = sorted(self._configuration.events)
        narrowed: dict[str, Any] = {"types": types} if len(types) <= _MOST_TYPES else {}
        if cursor.undelivered:
            narrowed["delivery_success"] = False
        for events in _listed(self._stripe.events, cursor, narrowed):
            yield _stripe_page(cursor, events, self._events.compare(events))

    def _intent_pages(self, cursor: Cursor) -> Iterator[Page]:
        for intents in _listed(self._stripe.payment_intents, cursor, {"expand": ["data.latest_charge"]}):
            yield _stripe_page(cursor, intents, self._intents.compare(intents, cursor.until))

    def _row_pages(self, cursor: Cursor) -> Iterator[Page]:
        table = self._configuration.table(cursor.stage.removeprefix(ROWS))
        assert table is not None  # noqa: S101  # the stages are made from the tables
        start = datetime.fromisoformat(cursor.after) if cursor.after else cursor.since
        for rows in self._rows.pages(table, start, cursor.until):
            found = [each for row in rows for each in self._rows.compare(table, row, cursor.since, cursor.until)]
            reached: datetime = rows[-1][MODIFIED] if rows else cursor.until
            done = (reached - cursor.since) / _span(cursor)
            # Rows of the same second are compared again, so that none is missed.
            yield _page(cursor, reached.isoformat(), found, len(rows), done)


def _listed(service: Any, cursor: Cursor, narrowed: dict[str, Any]) -> Iterator[Sequence[StripeObject]]:
    """Pages of the objects created in the cursor's period, newest first, starting at the cursor."""
    within = {"gte": int(cursor.since.timestamp()), "lte": int(cursor.until.timestamp())}
    asked: dict[str, Any] = {"created": within, "limit": _PAGE, **narrowed}
    if cursor.after:
        asked["starting_after"] = cursor.after
    more = True
    while more:
        page = _page_after(service, asked)
        objects = [each.to_dict() for each in page.data]
        if objects:
            asked["starting_after"] = objects[-1]["id"]
            yield objects
        # After an empty page there is no id to continue from, so the same page would come again.
        more = page.has_more and bool(objects)


def _page_after(service: Any, asked: Mapping[str, Any]) -> Any:
    import stripe

    try:
        return service.list(asked)
    except stripe.InvalidRequestError as error:
        if error.param != "starting_after":
            raise
        raise CursorUnreadableError(
            f"The interrupted run was at {asked['starting_after']}, which Stripe does not know any more: "
            "start without --resume."
        ) from error


def _stripe_page(cursor: Cursor, objects: Sequence[StripeObject], found: Sequence[Difference]) -> Page:
    last = objects[-1]
    done = (cursor.until - datetime.fromtimestamp(last["created"], UTC)) / _span(cursor)
    return _page(cursor, last["id"], found, len(objects), done)


def _page(cursor: Cursor, after: str, found: Sequence[Difference], compared: int, done: float) -> Page:
    return Page(
        cursor=replace(cursor, after=after), differences=found, compared=compared, done=min(max(done, 0.0), 1.0)
    )


def _span(cursor: Cursor) -> timedelta:
    return max(cursor.until - cursor.since, timedelta(seconds=1))
