"""What the rules look at: the file, as far as it can be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

from runner.registrations.bridge import BridgeRegistration
from runner.registrations.endpoints import EndpointRegistration
from runner.registrations.model import CustomApiRegistration, StepRegistration
from runner.registrations.problems import Finding, Path
from runner.registrations.tables import TableDescription

T = TypeVar("T")
Wrong: TypeAlias = Iterator[Finding]


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """A part of the file to look at: where it stands, its value, and which of its keys are broken."""

    path: Path
    value: T
    broken: frozenset[str] = frozenset()

    def wrong(self, message: str, hint: str, *path: str | int) -> Finding:
        return Finding(path=(*self.path, *path), message=message, hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The file as far as it can be read.

    ``endpoints``, ``custom_apis`` and ``tables`` have the sound ones; the names of the former two are all there.
    """

    entities: Mapping[str, str] = field(default_factory=dict)
    steps: Sequence[Part[StepRegistration]] = ()
    endpoints: Mapping[str, EndpointRegistration] = field(default_factory=dict)
    endpoint_names: frozenset[str] = frozenset()
    custom_apis: Mapping[str, CustomApiRegistration] = field(default_factory=dict)
    custom_api_names: frozenset[str] = frozenset()
    tables: Mapping[str, TableDescription] = field(default_factory=dict)
    bridge: Part[BridgeRegistration] | None = None

    def logical_name(self, entity: str | None) -> str | None:
        return None if entity is None else self.entities.get(entity, entity)
