"""Converts what is registered in an environment to a registrations file.

Dataverse knows neither which Python class runs nor what the secrets are: both are taken from the file there is, where
it has a step or endpoint of that name, and are said to be missing otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from runner.registrations.deploy.custom_apis import TYPES
from runner.registrations.deploy.endpoints import DEFAULT_ENDPOINT
from runner.registrations.deploy.environment import Registered, is_ours, read_endpoint_steps, read_listening
from runner.registrations.deploy.rows import API, PARAMETER, PART_OF, STEP, Listening, Row
from runner.registrations.deploy.steps import IMAGE_TYPES, POST_OPERATION
from runner.registrations.endpoints import (
    ServiceBusQueueEndpoint,
    ServiceBusTopicEndpoint,
    WebhookEndpoint,
    WebhookKey,
    WebhookValues,
)
from runner.registrations.identity import custom_api_step, handler_of
from runner.registrations.model import (
    ASYNCHRONOUS,
    CustomApiRegistration,
    ImageRegistration,
    Registrations,
    RequestParameterRegistration,
    StepRegistration,
)

if TYPE_CHECKING:
    from dataverse_client.client import DataverseClient
    from runner.registrations.endpoints import EndpointRegistration

#: Stands where nobody knows the class; runner check says so.
UNKNOWN_PLUGIN = "unknown:Unknown"

_QUEUES, _TOPIC, _WEBHOOK = (2, 6), 5, 8
_WEBHOOK_KEY = 4
_NAMED_VALUES = {5: "http-header", 6: "http-query-string"}
_FORMATS = {1: "binary", 2: "json", 3: "xml"}
_KINDS = {number: kind for kind, number in IMAGE_TYPES.items()}


@dataclass(frozen=True, slots=True)
class Pulled:
    """The file, and what a person has to add to it or should know."""

    registrations: Registrations
    remarks: tuple[str, ...] = ()

    def to_yaml(self) -> str:
        """The file as text, the remarks as comments at its top."""
        content = self.registrations.model_dump(mode="json", exclude_defaults=True)
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
        return "".join(f"# {remark}\n" for remark in self.remarks) + text


def pull(client: DataverseClient, known: Registrations | None = None) -> Pulled:
    """Read every endpoint the product can serve, and the steps on it.

    ``known`` is the file there is: it names plug-ins and secrets, and keeps its other sections.

    Raises:
      DataverseError: the environment cannot be read.
    """
    registered = read_endpoint_steps(client)
    return _Pull(registered, read_listening(client, registered.steps), known or Registrations()).pulled()


class _Pull:
    def __init__(self, registered: Registered, listening: Mapping[str, Listening], known: Registrations) -> None:
        self._registered = registered
        self._listening = listening
        self._known = known
        self._steps = {step.name: step for step in known.steps}
        self._endpoints = {id: row for id, row in registered.endpoints.items() if _is_served(row)}

    def pulled(self) -> Pulled:
        rows = sorted(self._registered.steps.values(), key=self._place)
        rows = [row for row in rows if row.columns["eventhandler"].id in self._endpoints]
        apis = {row.columns["uniquename"]: row for row in self._registered.custom_apis.values() if row.table == API}
        rows = [row for row in rows if _name(row) not in map(custom_api_step, apis)]
        sections = {
            "custom_apis": {**self._known.custom_apis, **{name: self._api(name, row) for name, row in apis.items()}},
            "endpoints": {row.name: self._endpoint(row) for row in self._endpoints.values() if not _is_default(row)},
            "steps": tuple(self._step(row) for row in rows),
        }
        return Pulled(self._known.model_copy(update=sections), tuple(self._remarks(rows)))

    def _place(self, row: Row) -> tuple[int, str]:
        """As in the file there is; others after them, by name."""
        names = list(self._steps)
        name = _name(row)
        return (names.index(name) if name in self._steps else len(names)), row.name

    def _remarks(self, rows: list[Row]) -> Iterator[str]:
        unknown = [_name(row) for row in rows if _name(row) not in self._steps]
        if unknown:
            yield f"Dataverse does not know the plug-ins of these steps, name them: {', '.join(unknown)}"
        foreign = [row.name for row in rows if not is_ours(row)]
        if foreign:
            yield (
                "These steps were registered by other means; runner apply registers them anew, so remove them in the "
                f"environment: {', '.join(foreign)}"
            )
        others = [row.name for row in self._registered.endpoints.values() if not _is_served(row)]
        if others:
            yield f"Only webhooks and Service Bus queues and topics can be served; left out: {', '.join(others)}"

    def _step(self, row: Row) -> StepRegistration:
        listening, name = self._listening[row.id], _name(row)
        known = self._steps.get(name)
        columns = row.columns
        facts: dict[str, Any] = {
            "name": name,
            "plugin": UNKNOWN_PLUGIN,
            "message": listening.message,
            "entity": listening.table,
            **_when(columns, known),
            "rank": columns.get("rank", 1),
            "filtering_attributes": _listed(columns.get("filteringattributes")),
            "images": tuple(self._images(row)),
            "endpoint": self._endpoint_name(columns["eventhandler"].id),
            "enabled": columns["statecode"].value == 0,
        }
        if "impersonatinguserid" in columns:
            facts["run_as"] = columns["impersonatinguserid"].id
        return StepRegistration(**facts) if known is None else self._merged(known, facts)

    def _merged(self, known: StepRegistration, facts: dict[str, Any]) -> StepRegistration:
        """What is registered, with what only the file knows."""
        if known.entity and self._known.logical_name(known.entity) == facts["entity"]:
            facts["entity"] = known.entity
        if known.run_as and "run_as" in facts:
            facts["run_as"] = known.run_as
        kept = {"plugin", "configuration", "secure_configuration", "timeout", "isolation"} & known.model_fields_set
        return StepRegistration(**{**facts, **{name: getattr(known, name) for name in kept}})

    def _images(self, step: Row) -> Iterator[ImageRegistration]:
        for row in sorted(self._registered.images.values(), key=lambda each: each.name):
            if row.columns[f"{STEP}id"].id == step.id:
                yield ImageRegistration(
                    type=_KINDS[row.columns["imagetype"].value],  # type: ignore[arg-type]  # one of the three
                    alias=row.columns["entityalias"],
                    attributes=_listed(row.columns.get("attributes")),
                )

    def _api(self, name: str, row: Row) -> CustomApiRegistration:
        """As it is there, with the plug-in and what else only the file knows."""
        parts = [each for each in self._registered.custom_apis.values() if _is_part(each, row)]
        parameters = {each.columns["uniquename"]: _parameter(each) for each in parts if each.table == PARAMETER}
        properties = {each.columns["uniquename"]: _type(each) for each in parts if each.table != PARAMETER}
        facts: dict[str, Any] = {
            "entity": row.columns.get("boundentitylogicalname"),
            "is_function": bool(row.columns.get("isfunction")),
            "request_parameters": parameters,
            "response_properties": properties,
        }
        known = self._known.custom_apis.get(name)
        if known is None:
            return CustomApiRegistration(**facts)
        if known.entity and self._known.logical_name(known.entity) == facts["entity"]:
            facts["entity"] = known.entity
        return known.model_copy(update=facts)

    def _endpoint_name(self, id: str) -> str | None:
        row = self._endpoints[id]
        return None if _is_default(row) else row.name

    def _endpoint(self, row: Row) -> EndpointRegistration:
        known = self._known.endpoints.get(row.name)
        made = _webhook(row) if _number(row, "contract") == _WEBHOOK else _service_bus(row)
        if known is None or known.type != made.type:
            return made
        # The references stand for what Dataverse keeps to itself.
        secret = "auth" if isinstance(known, WebhookEndpoint) else "shared_access_key"
        return made.model_copy(update={secret: getattr(known, secret)})


def _when(columns: Mapping[str, Any], known: StepRegistration | None) -> dict[str, Any]:
    """Stage, mode and delivery; a deferred step is registered alike whatever stage it declares."""
    if columns["mode"].value != ASYNCHRONOUS:
        return {"stage": columns["stage"].value, "delivery": "inline"}
    if known is not None and known.delivery == "deferred":
        return {"stage": known.stage, "mode": known.mode}
    return {"stage": POST_OPERATION, "mode": ASYNCHRONOUS}


def _webhook(row: Row) -> WebhookEndpoint:
    reference = f"${{env:{_variable(row.name)}_KEY}}"
    authentication = _number(row, "authtype")
    if authentication == _WEBHOOK_KEY:
        auth: Any = WebhookKey(type="webhook-key", value=reference)
    else:
        kind: Any = _NAMED_VALUES.get(authentication, "http-header")
        auth = WebhookValues(type=kind, values={"x-key": reference})
    return WebhookEndpoint(type="webhook", url=row.columns.get("url"), auth=auth)


def _service_bus(row: Row) -> ServiceBusQueueEndpoint | ServiceBusTopicEndpoint:
    address = str(row.columns.get("namespaceaddress", ""))
    facts: dict[str, Any] = {
        "namespace": address.removeprefix("sb://").rstrip("/"),
        "shared_access_key_name": row.columns.get("saskeyname", ""),
        "shared_access_key": f"${{env:{_variable(row.name)}_KEY}}",
        "message_format": _FORMATS[_number(row, "messageformat")],
    }
    if _number(row, "contract") == _TOPIC:
        return ServiceBusTopicEndpoint(type="service-bus-topic", topic=row.columns["path"], **facts)
    return ServiceBusQueueEndpoint(type="service-bus-queue", queue=row.columns["path"], **facts)


def _name(row: Row) -> str:
    """The step's name in a file: what ours was made from; of others all of it, since handlers share theirs."""
    return (handler_of(row.name) if is_ours(row) else None) or row.name


def _is_part(row: Row, api: Row) -> bool:
    return row.table in PART_OF and row.columns[PART_OF[row.table]].id == api.id


def _parameter(row: Row) -> RequestParameterRegistration:
    return RequestParameterRegistration(type=_type(row), optional=bool(row.columns.get("isoptional")))


def _type(row: Row) -> Any:
    return TYPES[_number(row, "type")]


def _is_served(endpoint: Row) -> bool:
    return _number(endpoint, "contract") in (*_QUEUES, _TOPIC, _WEBHOOK)


def _is_default(endpoint: Row) -> bool:
    return endpoint.name == DEFAULT_ENDPOINT and is_ours(endpoint)


def _number(row: Row, column: str) -> int:
    value = row.columns.get(column)
    return 0 if value is None else int(value.value)


def _listed(value: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (value or "").split(",") if name.strip())


def _variable(name: str) -> str:
    return re.sub(r"\W+", "_", name).strip("_").upper()
