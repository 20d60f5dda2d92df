"""Support for tests of plug-ins: CRM, Stripe and the bridge as pytest fixtures, all in this process.

The fixtures come with the package (entry point ``pytest11``); ``docs/testing-plugins.md`` shows them at work. Their
types are here, for annotations: ``def test_it(crm: Crm, clock: ManualClock)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure_bridge.clock import ManualClock
    from runner.stripe_simulator import StripeSimulator
    from runner.testing.bridge import Bridge
    from runner.testing.crm import Crm

__all__ = ["Bridge", "Crm", "ManualClock", "StripeSimulator"]

_MODULES = {
    "Bridge": "runner.testing.bridge",
    "Crm": "runner.testing.crm",
    "ManualClock": "azure_bridge.clock",
    "StripeSimulator": "runner.stripe_simulator",
}


def __getattr__(name: str) -> Any:
    """pytest imports this package in every run of every project that has it: the rest waits until it is asked for."""
    from importlib import import_module

    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
