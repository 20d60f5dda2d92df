"""Keeps the registered custom APIs: those added in code with their plug-ins, and those declared by rows.

An API declared by a row has no main operation, as that would be a .NET plug-in: it is an event for steps.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/customapi-table-columns
"""

from __future__ import annotations

from collections.abc import Iterator

from runner.emulator.custom_api import CustomApi, ParameterType, RequestParameter
from runner.emulator.registration.custom_api_rows import BOUND_TO_COLLECTION, BOUND_TO_ROW
from runner.emulator.storage.store import Store
from runner.execution.step import StepError

_APIS = """
    SELECT customapiid, uniquename, bindingtype, boundentitylogicalname, isfunction, isprivate
    FROM customapi ORDER BY versionnumber
"""
_PARAMETERS = "SELECT uniquename, type, isoptional FROM customapirequestparameter WHERE customapiid = ?"
_PROPERTIES = "SELECT uniquename, type FROM customapiresponseproperty WHERE customapiid = ?"

_TYPES = {kind.number: kind for kind in ParameterType}


class CustomApis:
    """The custom APIs that can be called, in ``by_name``. Committed rows take effect with :meth:`refresh`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._given: dict[str, CustomApi] = {}
        self._generation = -1
        self.by_name: dict[str, CustomApi] = {}

    def add(self, api: CustomApi) -> None:
        """Add an API with its plug-in, which replaces one of the same name declared by a row.

        Raises:
          StepError: the table it is bound to does not exist.
        """
        if api.entity and api.entity not in self._store.metadata.tables:
            raise StepError(f"Custom API {api.name!r}: there is no table {api.entity!r} here (0x80041102).")
        self._given[api.name] = api
        self.by_name = {**self.by_name, api.name: api}

    def refresh(self) -> None:
        """Read the APIs declared by rows again, if there were changes."""
        if self._generation != self._store.generation:
            self._generation = self._store.generation
            self.by_name = {**{api.name: api for api in self._declared()}, **self._given}

    def find(self, message: str) -> CustomApi | None:
        """The API of that name, whatever its capitalization; None when there is none."""
        return next((api for name, api in self.by_name.items() if name.lower() == message.lower()), None)

    def _declared(self) -> Iterator[CustomApi]:
        for id, name, binding, entity, is_function, is_private in self._store.execute(_APIS).fetchall():
            parameters, properties = self._store.execute(_PARAMETERS, (id,)), self._store.execute(_PROPERTIES, (id,))
            yield CustomApi(
                name=name,
                entity=entity if binding in (BOUND_TO_ROW, BOUND_TO_COLLECTION) else None,
                on_collection=binding == BOUND_TO_COLLECTION,
                request_parameters={key: RequestParameter(_TYPES[kind], bool(opt)) for key, kind, opt in parameters},
                response_properties={key: _TYPES[kind] for key, kind in properties},
                is_function=bool(is_function),
                is_private=bool(is_private),
            )
