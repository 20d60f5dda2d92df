"""Carries out ``runner reconcile``, apart from its options: imported only when the command runs."""

from __future__ import annotations

from runner.cli.reconcile_view import View
from runner.service.reconciling import Request, reconciling
from runner.service.wiring import opened
from runner.settings import Settings, SettingsError
from runner.tracing.recorder import Silence


def perform(request: Request, settings: Settings, *, as_json: bool) -> int:
    """Compare, print, and repair if ``request.fix``. Returns how many differences are left.

    Raises:
      SettingsError: no Stripe account is configured.
      CursorUnreadableError: there is no interrupted run to continue.
      DataverseError, StripeError: one of the two could not be reached; continue with ``--resume``.
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
