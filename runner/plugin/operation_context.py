"""The part of a context that all steps of an operation share."""

from __future__ import annotations

from datetime import datetime

from runner.plugin.operation import MessageOperation


class OperationContext:
    """What a context says of its operation, whichever step it is for."""

    __slots__ = ("_operation",)

    def __init__(self, operation: MessageOperation) -> None:
        self._operation = operation

    @property
    def message_name(self) -> str:
        """The message: ``Create``, ``Update``, ``Delete``, ... or a custom API's unique name."""
        return self._operation.message_name

    @property
    def primary_entity_name(self) -> str:
        """Logical name of the message's table; ``none`` for a message without one."""
        return self._operation.primary_entity_name

    @property
    def primary_entity_id(self) -> str:
        """Id of the message's row; the empty GUID for a message without one."""
        return self._operation.primary_entity_id

    @property
    def secondary_entity_name(self) -> str:
        """The second table of a message that concerns two; otherwise ``none``."""
        return self._operation.secondary_entity_name

    @property
    def depth(self) -> int:
        """1 for a call from outside; a call made by a plug-in is one deeper than the plug-in."""
        return self._operation.depth

    @property
    def correlation_id(self) -> str:
        """Shared by every operation that follows from the same call from outside."""
        return self._operation.correlation_id

    @property
    def operation_id(self) -> str:
        """Id of this operation; in an asynchronous step, the id of its system job."""
        return self._operation.operation_id

    @property
    def request_id(self) -> str | None:
        """The request the operation is part of; None where Dataverse does not say."""
        return self._operation.request_id

    @property
    def operation_created_on(self) -> datetime:
        """When the operation began, in UTC."""
        return self._operation.operation_created_on

    @property
    def is_executing_offline(self) -> bool:
        """Whether the plug-in runs in Outlook's offline client. Always False unless Dataverse says otherwise."""
        return self._operation.is_executing_offline

    @property
    def is_offline_playback(self) -> bool:
        """Whether changes made in Outlook's offline client are being synchronized."""
        return self._operation.is_offline_playback

    @property
    def organization_id(self) -> str:
        """The environment's organization, a GUID."""
        return self._operation.organization.organization_id

    @property
    def organization_name(self) -> str:
        """The organization's unique name."""
        return self._operation.organization.organization_name

    @property
    def environment_id(self) -> str:
        """Id of the Power Platform environment; empty when unknown."""
        return self._operation.organization.environment_id

    @property
    def tenant_id(self) -> str:
        """Id of the Microsoft Entra tenant; the empty GUID when unknown."""
        return self._operation.organization.tenant_id

    @property
    def business_unit_id(self) -> str:
        """The calling user's business unit."""
        return self._operation.caller.business_unit_id

    @property
    def initiating_user_id(self) -> str:
        """``systemuserid`` of the user who made the call, whichever user the step runs as."""
        return self._operation.caller.initiating_user_id

    @property
    def authenticated_user_id(self) -> str:
        """The user who signed in, when the call is made on behalf of another user."""
        return self._operation.caller.authenticated_user_id

    @property
    def user_azure_active_directory_object_id(self) -> str:
        """Microsoft Entra object id of the user the step runs as."""
        return self._operation.caller.user_azure_active_directory_object_id

    @property
    def initiating_user_azure_active_directory_object_id(self) -> str:
        """Microsoft Entra object id of the user who made the call."""
        return self._operation.caller.initiating_user_azure_active_directory_object_id

    @property
    def initiating_user_application_id(self) -> str:
        """The client id of the application that made the call; the empty GUID for a person."""
        return self._operation.caller.initiating_user_application_id

    @property
    def initiating_user_agent(self) -> str:
        """The User-Agent of the program that made the call."""
        return self._operation.caller.initiating_user_agent

    @property
    def is_application_user(self) -> bool:
        """Whether an application made the call."""
        return self._operation.caller.is_application_user

    @property
    def portals_contact_id(self) -> str:
        """The contact who is signed in to Power Pages; the empty GUID for all other calls."""
        return self._operation.caller.portals_contact_id

    @property
    def is_portals_client_call(self) -> bool:
        """Whether the call comes from Power Pages."""
        return self._operation.caller.is_portals_client_call
