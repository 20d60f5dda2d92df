"""Makes the notifications that Dataverse would have sent for changes that polling found; they are marked as such."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from azure_bridge.clock import Clock
from azure_bridge.queues.contract import QueueMessage
from dataverse_client.types import EMPTY_GUID, Entity, EntityReference, new_guid
from runner.execution.step import Mode, Stage
from runner.intake.directory import StepDirectory
from runner.intake.messages import notification_message
from runner.intake.notification_trace import POLLED
from runner.plugin import INERT_HOST, Caller, MessageOperation, Organization, PluginContext
from runner.remote_context.context import RemoteContext
from runner.remote_context.encoding import encode_value

_BY_POLLING = EntityReference("sdkmessageprocessingstep")


class PolledNotifications:
    """Makes notifications of one organization, with the images that the steps of ``directory`` register."""

    def __init__(self, directory: StepDirectory, organization_id: str, clock: Clock) -> None:
        self._directory = directory
        self._organization = Organization(organization_id=organization_id, organization_name="")
        self._clock = clock

    def created(self, row: Entity) -> QueueMessage:
        """A Create notification for ``row``."""
        return self._message("Create", row, row.copy(), None, row)

    def updated(self, before: Entity, row: Entity) -> QueueMessage | None:
        """An Update notification with all columns that differ, however many updates there were; None if none does."""
        changed = {column: row.get(column) for column in {**before.attributes, **row.attributes}}
        changed = {column: value for column, value in changed.items() if not _has_value(before, column, value)}
        if not changed:
            return None
        return self._message("Update", row, Entity(row.logical_name, row.id, changed), before, row)

    def deleted(self, before: Entity) -> QueueMessage:
        """A Delete notification for a row that was ``before``."""
        return self._message("Delete", before, EntityReference(before.logical_name, before.id or ""), before, None)

    def _message(
        self, message: str, row: Entity, target: Entity | EntityReference, before: Entity | None, after: Entity | None
    ) -> QueueMessage:
        images = self._directory.images(message, row.logical_name)
        operation = MessageOperation(
            organization=self._organization,
            caller=Caller(initiating_user_id=EMPTY_GUID, initiating_user_agent=POLLED),
            message_name=message,
            primary_entity_name=row.logical_name,
            primary_entity_id=row.id or EMPTY_GUID,
            input_parameters={"Target": target},
            correlation_id=new_guid(),
            # Found again after a crash, the same change gets the same id, so that the queue drops the duplicate.
            operation_id=str(uuid5(NAMESPACE_URL, f"{message} {row.logical_name} {row.id} {row.row_version}")),
            operation_created_on=self._clock.now(),
        )
        context = PluginContext(
            operation,
            INERT_HOST,
            stage=Stage.POST_OPERATION,
            mode=Mode.ASYNCHRONOUS,
            owning_extension=_BY_POLLING,
            user_id=EMPTY_GUID,
            is_in_transaction=False,
            shared_variables={},
            pre_entity_images=_named((each.alias for each in images if each.kind != "post"), before),
            post_entity_images=_named((each.alias for each in images if each.kind != "pre"), after),
        )
        remote = RemoteContext.of(context)
        return notification_message(remote.encode(), remote)


def _has_value(before: Entity, column: str, value: Any) -> bool:
    """Values are compared in their wire form, in which a date and its midnight are equal."""
    return bool(encode_value(before.get(column)) == encode_value(value))


def _named(aliases: Iterable[str], row: Entity | None) -> dict[str, Entity]:
    return {} if row is None else dict.fromkeys(aliases, row)
