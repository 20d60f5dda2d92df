"""Reads steps from the registration tables, with the plug-in or endpoint that handles them.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/reference/entities/sdkmessageprocessingstep
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from dataverse_client.types import Entity, EntityReference, QueryExpression
from runner.emulator.errors import InvalidArgument
from runner.emulator.notifications.notification import Notification, NotifyingEnvironment, notification
from runner.emulator.notifications.service_endpoints import ServiceEndpoint
from runner.emulator.registration.custom_api_rows import step_refusal
from runner.emulator.registration.step_rows import (
    ENDPOINT,
    IMAGE,
    SECURE_CONFIG,
    STEP,
    STEP_NOT_ALLOWED,
    Listening,
    check_image,
    check_step,
    images,
    names,
    number,
    plugin_type_id,
    runs_on_server,
)
from runner.emulator.registration.write_only import WriteOnlyColumns
from runner.emulator.rows.reading import ReadableRecords
from runner.emulator.storage.store import Store
from runner.execution.step import DEFAULT_TIMEOUT, Mode, Step, StepError
from runner.plugin import Plugin
from runner.registrations.plugins import PluginLoadError, load_plugin

#: Long enough for two attempts of a webhook.
_NOTIFICATION_TIMEOUT = DEFAULT_TIMEOUT + 20.0


class StepReader:
    """Reads steps from rows. Every method raises InvalidArgument, with Dataverse's code, when rows are not valid."""

    def __init__(
        self, store: Store, records: ReadableRecords, secrets: WriteOnlyColumns, environment: NotifyingEnvironment
    ) -> None:
        self._store = store
        self._records = records
        self._secrets = secrets
        self._environment = environment

    def endpoint(self, id: str) -> ServiceEndpoint:
        return ServiceEndpoint.of(self._row(ENDPOINT, id), self._secrets.values(id))

    def steps_of(self, row: EntityReference) -> list[str]:
        """The ids of the steps that a row of a step, image or endpoint belongs to."""
        if row.logical_name == IMAGE:
            return [self._row(IMAGE, row.id)[f"{STEP}id"].id]
        column = "eventhandler" if row.logical_name == ENDPOINT else f"{STEP}id"
        sql = f"SELECT {STEP}id FROM {STEP} WHERE {column} = ?"  # noqa: S608 - names of ours
        return [found[0] for found in self._store.execute(sql, (row.id,)).fetchall()]

    def step(self, id: str, given: Step | None) -> Step | None:
        """The step of a row; None for one that does not run on the server.

        ``given`` is the step added in code, whose plug-in instance is used unless the row names another plug-in.
        """
        row = self._row(STEP, id)
        listening, image_rows = self._listening(row), self._image_rows(id)
        check_step(row, listening)
        refusal = step_refusal(self._store, listening.message, number(row, "mode"))
        if refusal is not None:
            raise InvalidArgument(f"Step {row.get('name')!r}: {refusal}.", code=STEP_NOT_ALLOWED)
        for image in image_rows:
            check_image(image, listening, number(row, "stage"))
        try:
            step = self._with_handler(row, _facts(row, listening, image_rows), given)
        except (StepError, PluginLoadError) as error:
            raise InvalidArgument(str(error)) from error
        return step if runs_on_server(row) else None

    # --- what handles it --------------------------------------------------------------------------------------

    def _with_handler(self, row: Entity, facts: dict[str, Any], given: Step | None) -> Step:
        handler = row.get("eventhandler") or row.get("plugintypeid")
        if handler is None:
            raise InvalidArgument(f"Step {row.get('name')!r} has no eventhandler: neither plug-in type nor endpoint.")
        if handler.logical_name == ENDPOINT:
            return Step(plugin=self._notification(handler.id, row), timeout=_NOTIFICATION_TIMEOUT, **facts)
        if given is not None and handler.id == plugin_type_id(given) and row.get("configuration") is None:
            return replace(given, **facts)
        return Step(plugin=self._plugin(handler, row), **facts)

    def _notification(self, endpoint_id: str, row: Entity) -> Notification:
        endpoint = self.endpoint(endpoint_id)
        if not endpoint.is_webhook and number(row, "mode") != Mode.ASYNCHRONOUS:
            raise InvalidArgument(
                f"Step {row.get('name')!r}: only asynchronous steps can send to a queue or topic. Set mode to 1."
            )
        return notification(endpoint, self._environment)

    def _plugin(self, handler: EntityReference, row: Entity) -> Plugin:
        secure = row.get(f"{SECURE_CONFIG}id")
        secure_text = self._row(SECURE_CONFIG, secure.id).get("secureconfig") if secure else None
        type_name = self._row("plugintype", handler.id)["typename"]
        return load_plugin(type_name, _configuration(row.get("configuration")), _configuration(secure_text))

    # --- what it listens to -----------------------------------------------------------------------------------

    def _listening(self, row: Entity) -> Listening:
        message, message_filter = row.get("sdkmessageid"), row.get("sdkmessagefilterid")
        if message_filter is None:
            if message is None:
                raise InvalidArgument(f"Step {row.get('name')!r} has no message: set sdkmessageid.")
            return Listening(self._row("sdkmessage", message.id)["name"])
        found = self._row("sdkmessagefilter", message_filter.id)
        if message not in (None, found["sdkmessageid"]):
            raise InvalidArgument(
                f"Step {row.get('name')!r}: sdkmessagefilterid is not a filter of the message sdkmessageid names."
            )
        return Listening(
            self._row("sdkmessage", found["sdkmessageid"].id)["name"],
            self._store.metadata.tables.get(found["primaryobjecttypecode"]),
            found["primaryobjecttypecode"],
            is_allowed=found["iscustomprocessingstepallowed"],
        )

    def _image_rows(self, step_id: str) -> list[Entity]:
        query = QueryExpression.of(IMAGE, where={f"{STEP}id": step_id})
        return self._records.retrieve_multiple(query, formatted=False).entities

    def _row(self, table: str, id: str) -> Entity:
        return self._records.retrieve(EntityReference(table, id), formatted=False)


def _facts(row: Entity, listening: Listening, image_rows: Sequence[Entity]) -> dict[str, Any]:
    user = row.get("impersonatinguserid")
    return {
        "id": row.id,
        "name": row.get("name", ""),
        "message": listening.message,
        "entity": listening.entity,
        "stage": number(row, "stage"),
        "mode": number(row, "mode"),
        "rank": row.get("rank", 1),
        "filtering_attributes": frozenset(names(row, "filteringattributes")),
        "images": images(image_rows),
        "run_as": None if user is None else user.id,
        "async_auto_delete": row.get("asyncautodelete", False),
    }


def _configuration(text: str | None) -> dict[str, Any] | str | None:
    """The configuration: a dict if it is a JSON object, otherwise its text."""
    try:
        value = json.loads(text or "")
    except ValueError:
        return text
    return value if isinstance(value, dict) else text
