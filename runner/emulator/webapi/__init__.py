"""The embedded Dataverse's Web API, free of any web framework."""

from runner.emulator.webapi.http import Request, Response
from runner.emulator.webapi.service import WebApi

__all__ = ["Request", "Response", "WebApi"]
