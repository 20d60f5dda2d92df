"""Plug-ins of a few lines that tests of several packages use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runner.plugin import Plugin, PluginContext
from runner.remote_context.context import RemoteContext


class Do(Plugin):
    """Does what the test says."""

    def __init__(self, work: Callable[[PluginContext], Any]) -> None:
        super().__init__()
        self.work = work

    def execute(self, context: PluginContext) -> Any:
        return self.work(context)


class Tell(Plugin):
    """Stands for a webhook: what it is told is put in a mailbox, in the form it has on the wire."""

    def __init__(self, mailbox: list[bytes]) -> None:
        super().__init__()
        self.mailbox = mailbox

    def execute(self, context: PluginContext) -> None:
        self.mailbox.append(RemoteContext.of(context).encode())
