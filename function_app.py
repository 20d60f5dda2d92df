"""Azure Functions, where its host looks for them: the bridge's and the runner's, around one set of parts."""

import atexit
import logging
from contextlib import ExitStack
from pathlib import Path

import azure.functions as func

from azure_bridge.functions import bridge_functions
from azure_bridge.once import Once
from runner.functions import parts_of, runner_functions, settings_beside

# The SDKs tell of every connection and request; what they warn of is enough.
logging.getLogger("azure").setLevel(logging.WARNING)

closing = ExitStack()
atexit.register(closing.close)
settings = Once(lambda: settings_beside(Path(__file__).parent))
parts = parts_of(settings, closing)

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
app.register_functions(bridge_functions(parts))
app.register_functions(runner_functions(parts, settings))
