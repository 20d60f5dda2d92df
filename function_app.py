"""Azure Functions, where its host looks for them: the bridge's and the runner's, around one set of parts."""

import atexit
import logging
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import azure.functions as func

from azure_bridge.functions import bridge_functions
from runner.functions import parts_of, runner_functions
from runner.settings import Settings

# The SDKs tell of every connection and request; what they warn of is enough.
logging.getLogger("azure").setLevel(logging.WARNING)

settings = Settings.load()
settings = replace(settings, runner_registrations=Path(__file__).parent / settings.runner_registrations)
closing = ExitStack()
atexit.register(closing.close)
parts = parts_of(settings, closing)

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
app.register_functions(bridge_functions(parts))
app.register_functions(runner_functions(parts, settings))
