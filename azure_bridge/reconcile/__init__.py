"""Compares Stripe with Dataverse, and repairs what differs.

:mod:`~azure_bridge.reconcile.run` is the loop: it reads pages of differences from
:mod:`~azure_bridge.reconcile.reconciliation`, hands each to :mod:`~azure_bridge.reconcile.fix`, and keeps the
:mod:`~azure_bridge.reconcile.cursor` in a file, so that an interrupted run can be continued. The three comparisons
are in ``events``, ``intents`` and ``rows``; what they find is in ``differences``.
"""

from __future__ import annotations

from azure_bridge.reconcile.reconciliation import EVENTS, GRACE, INTENTS, ROWS, Page, Reconciliation

__all__ = ["EVENTS", "GRACE", "INTENTS", "ROWS", "Page", "Reconciliation"]
