"""One run of ``runner reconcile``, its pages told as they come."""

from __future__ import annotations

from runner.cli.reconcile_view import View
from runner.service.reconciling import Request, reconciling
from runner.service.wiring import opened
from runner.settings import Settings, SettingsError
from runner.tracing.recorder import Silence


def perform(request: Request, settings: Settings, *, as_json: bool) -> int:
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
    with opened(settings, Silence()) as service:
        start, pages = reconciling(request, settings, service)
        with View(start, as_json=as_json, fixing=request.fix) as view:
            for progress in pages:
                view.show(progress)
            view.conclude()
    return view.cursor.left
