"""Sets up a reconciliation from the settings, for the command line and for a timer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from azure_bridge.processor import PaymentProcessor
from azure_bridge.reconcile import Reconciliation
from azure_bridge.reconcile.cursor import Cursor, CursorUnreadableError, load
from azure_bridge.reconcile.fix import Fixer
from azure_bridge.reconcile.run import Progress, run
from azure_bridge.tables import BridgeConfiguration
from runner.service.wiring import Service, made_directory
from runner.settings import Settings

CURSOR_FILE = "reconcile.json"
#: A quick run keeps its place elsewhere: it may come between an interrupted run and its continuation.
UNDELIVERED_CURSOR_FILE = "reconcile-undelivered.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to compare, and what to do about differences. ``resume`` goes on where a run was interrupted, if one was."""

    since: datetime
    undelivered: bool = False
    fix: bool = False
    cancel_orphans: bool = False
    resume: bool = False


def reconciling(request: Request, settings: Settings, service: Service) -> tuple[Cursor, Iterator[Progress]]:
    """Where the run begins, and its pages, each compared and put right as it is asked for.

    Raises:
      CursorUnreadableError: there is nothing to go on from; also while the pages are read.
      DataverseError, StripeError, OSError: one of the two could not be asked; the next run can go on from there.
    """
    file = made_directory(settings) / (UNDELIVERED_CURSOR_FILE if request.undelivered else CURSOR_FILE)
    bridge = _bridge(settings, service)
    reconciliation = Reconciliation(
        service.resources.client, service.stripe.client, bridge, clock=service.resources.clock
    )
    start = _start(request, load(file) if request.resume else None, reconciliation, bridge)
    return start, run(reconciliation, start, file, _fixer(request, service, bridge))


def _bridge(settings: Settings, service: Service) -> BridgeConfiguration:
    """The bridge's configuration, of this organization alone: others may share the Stripe account."""
    bridge = service.registrations.to_bridge_configuration(settings.secrets(), livemode=settings.stripe_live)
    if bridge.organization_id is not None:
        return bridge
    return replace(bridge, organization_id=service.resources.client.who_am_i().organization_id)


def _start(
    request: Request, interrupted: Cursor | None, reconciliation: Reconciliation, bridge: BridgeConfiguration
) -> Cursor:
    if interrupted is None:
        return reconciliation.begin(request.since, undelivered=request.undelivered)
    if interrupted.organization_id != bridge.organization_id:
        raise CursorUnreadableError(
            f"The interrupted run was about organization {interrupted.organization_id}, and this is "
            f"{bridge.organization_id}: start without --resume."
        )
    return interrupted


def _fixer(request: Request, service: Service, bridge: BridgeConfiguration) -> Fixer | None:
    if not request.fix:
        return None
    client, clock = service.resources.client, service.resources.clock
    processor = PaymentProcessor(client, bridge, observer=service.observer)
    return Fixer(client, service.stripe.client, processor, bridge, clock, cancel_orphans=request.cancel_orphans)
