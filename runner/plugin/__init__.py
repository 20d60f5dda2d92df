"""What a plug-in author imports.

    from runner.plugin import InvalidPluginExecutionException, Plugin, PluginContext


    class RequireName(Plugin):
        def execute(self, context: PluginContext) -> None:
            if not context.target.get("new_name"):
                raise InvalidPluginExecutionException("Give the payment a name.")

The names are those of ``IPluginExecutionContext`` to ``IPluginExecutionContext7`` in snake_case.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/understand-the-data-context
"""

from runner.plugin.context import PluginContext
from runner.plugin.errors import InvalidPluginExecutionException, OperationStatus
from runner.plugin.host import INERT_HOST, ExecutionHost, TracingService
from runner.plugin.operation import Caller, MessageOperation, Organization
from runner.plugin.plugin import Configuration, Plugin

__all__ = [
    "INERT_HOST",
    "Caller",
    "Configuration",
    "ExecutionHost",
    "InvalidPluginExecutionException",
    "MessageOperation",
    "OperationStatus",
    "Organization",
    "Plugin",
    "PluginContext",
    "TracingService",
]
