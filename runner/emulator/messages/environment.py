"""What the messages work with: the rows of an environment, its steps, and the way to send a message on."""

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
    """What messages need of the environment they are sent to."""

    store: Store
    records: Records
    associations: Associations
    steps: RegisteredSteps

    def pipe(self, operation: Operation) -> dict[str, Any]:
        """Take the operation through the pipeline; answers its output parameters."""

    def perform(self, call: Call, message: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out a message as part of the call."""

    def perform_apart(self, call: Call, request: OrganizationRequest) -> OrganizationResponse:
        """One of several requests, in a transaction of its own unless the call is in one already."""


#: What a message means: its parameters, as a copy, to its results.
Handler: TypeAlias = Callable[[Environment, Call, dict[str, Any]], dict[str, Any]]
