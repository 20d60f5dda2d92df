"""The interface of the environment that messages use: its rows, its steps, and further messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

from dataverse_client.types import OrganizationRequest, OrganizationResponse
from runner.emulator.call import Call, Server
from runner.emulator.pipeline.operation import Operation
from runner.emulator.registration.registered_steps import RegisteredSteps
from runner.emulator.rows.associations import Associations
from runner.emulator.rows.records import Records
from runner.emulator.storage.store import Store


class Environment(Server, Protocol):
    """The part of the engine that messages use."""

    #: Its host name, as its notifications and its own address have it.
    host: str
    store: Store
    records: Records
    associations: Associations
    steps: RegisteredSteps

    def pipe(self, operation: Operation) -> dict[str, Any]:
        """Run the operation through the pipeline. Returns its output parameters."""

    def perform(self, call: Call, message: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Execute a message as part of the call."""

    def perform_separately(self, call: Call, request: OrganizationRequest) -> OrganizationResponse:
        """Execute one of several requests, in its own transaction unless the call is in one already."""


#: Implements a message: takes its parameters, as a copy, and returns its results.
Handler: TypeAlias = Callable[[Environment, Call, dict[str, Any]], dict[str, Any]]
