"""One run of ``runner reconcile``: the parts it needs, wired, and its pages told as they come."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from azure_bridge.clock import SystemClock
from azure_bridge.processor import PaymentProcessor
from azure_bridge.reconcile import Reconciliation
from azure_bridge.reconcile_cursor import Cursor, load
from azure_bridge.reconcile_fix import Fixer
from azure_bridge.reconcile_run import run
from azure_bridge.secrets import Secrets
from azure_bridge.tables import BridgeConfiguration
from runner.cli.reconcile_view import View
from runner.service.wiring import Service, made_directory, opened
from runner.settings import Settings, SettingsError, environment
from runner.tracing.recorder import Silence

CURSOR_FILE = "reconcile.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for on the command line."""

    since: datetime
    undelivered: bool
    fix: bool
    cancel_orphans: bool
    resume: bool
    as_json: bool


def perform(request: Request, settings: Settings) -> int:
    """Compare, tell, and fix if asked to. Returns how many differences are left.

    Raises:
      SettingsError, CursorUnreadableError: there is nothing to compare, or nothing to go on from.
      DataverseError, StripeError: one of the two could not be asked; ``--resume`` goes on from there.
    """
    if not settings.stripe_secret_key and not settings.stripe_api_base:
        raise SettingsError(
            "STRIPE_SECRET_KEY is not set, and a simulator that starts with this command knows of no payment. Set it, "
            "or STRIPE_API_BASE, to the account whose events reach this CRM."
        )
    file = made_directory(settings) / CURSOR_FILE
    with opened(settings, Silence()) as service:
        bridge = _bridge(settings, service)
        reconciliation = Reconciliation(service.around.client, service.stripe.client, bridge)
        cursor = _start(request, load(file) if request.resume else None, reconciliation, bridge)
        with View(cursor, as_json=request.as_json, fixing=request.fix) as view:
            for progress in run(reconciliation, cursor, file, _fixer(request, service, bridge)):
                view.show(progress)
            view.conclude()
    return view.cursor.left


def _bridge(settings: Settings, service: Service) -> BridgeConfiguration:
    """The bridge's configuration, of this organization alone: others may share the Stripe account."""
    secrets = Secrets.from_environment(environment())
    bridge = service.registrations.to_bridge_configuration(secrets, livemode=settings.stripe_live)
    if bridge.organization_id is not None:
        return bridge
    return replace(bridge, organization_id=service.around.client.who_am_i().organization_id)


def _start(
    request: Request, interrupted: Cursor | None, reconciliation: Reconciliation, bridge: BridgeConfiguration
) -> Cursor:
    if interrupted is None:
        return reconciliation.begin(request.since, undelivered=request.undelivered)
    if interrupted.organization_id != bridge.organization_id:
        raise SettingsError(
            f"The interrupted run was about organization {interrupted.organization_id}, and this is "
            f"{bridge.organization_id}: start without --resume."
        )
    return interrupted


def _fixer(request: Request, service: Service, bridge: BridgeConfiguration) -> Fixer | None:
    if not request.fix:
        return None
    client = service.around.client
    processor = PaymentProcessor(client, bridge, observer=service.observer)
    return Fixer(client, service.stripe.client, processor, bridge, SystemClock(), cancel_orphans=request.cancel_orphans)
