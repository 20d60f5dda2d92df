"""For tests of plug-ins: CRM, Stripe and the bridge as pytest fixtures, all real, all in this process.

The fixtures come with the package (entry point ``pytest11``); ``docs/testing-plugins.md`` shows them at work.
"""

from __future__ import annotations

from runner.testing.bridge import Bridge
from runner.testing.crm import Crm

__all__ = ["Bridge", "Crm"]
