"""The parameters and results of the Web API's functions and actions, as ``$metadata`` declares them.

Types are those of CSDL, with ``?`` at the end where null is possible.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/reference/functions
Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/reference/actions
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

_Types: TypeAlias = "Mapping[str, str]"

_TEXT, _TEXTS, _NUMBER, _BIG, _FLAG, _ID = (
    "Edm.String",
    "Collection(Edm.String)",
    "Edm.Int32",
    "Edm.Int64",
    "Edm.Boolean",
    "Edm.Guid",
)
ANY_ROW, ANY_ROWS = "mscrm.crmbaseentity", "Collection(mscrm.crmbaseentity)"
_TABLE = "mscrm.ComplexEntityMetadata"


@dataclass(frozen=True, slots=True)
class Signature:
    """What an operation takes and returns. ``bound_to`` is the type of what its address names before it."""

    parameters: _Types = field(default_factory=dict)
    results: _Types = field(default_factory=dict)
    bound_to: str | None = None


_MEMBERS = Signature({"Members": "Collection(mscrm.systemuser)"}, bound_to="mscrm.team")
_TARGETS: _Types = {"Targets": ANY_ROWS}
_CHOICE: _Types = {
    "OptionSetName": f"{_TEXT}?",
    "AttributeLogicalName": f"{_TEXT}?",
    "EntityLogicalName": f"{_TEXT}?",
    "SolutionUniqueName": f"{_TEXT}?",
}
_STATUS: _Types = {name: kind for name, kind in _CHOICE.items() if name != "OptionSetName"}
_LABELS: _Types = {"Label": "mscrm.Label?", "Description": "mscrm.Label?"}
_AUTO_NUMBER: _Types = {"EntityName": _TEXT, "AttributeName": _TEXT}
_FILE: _Types = {"Target": ANY_ROW, "FileAttributeName": _TEXT}
_TOKEN: _Types = {"FileContinuationToken": _TEXT}

#: By the name of the function or action. Each has a handler in ``runner.emulator.webapi.functions``.
SIGNATURES: Mapping[str, Signature] = {
    "AddMembersTeam": _MEMBERS,
    "BulkDelete": Signature(
        {
            "QuerySet": "Collection(mscrm.QueryExpression)",
            "JobName": _TEXT,
            "SendEmailNotification": f"{_FLAG}?",
            "ToRecipients": ANY_ROWS,
            "CCRecipients": ANY_ROWS,
            "RecurrencePattern": f"{_TEXT}?",
            "StartDateTime": "Edm.DateTimeOffset?",
        },
        {"JobId": _ID},
    ),
    "CanBeReferenced": Signature({"EntityName": _TEXT}, {"CanBeReferenced": _FLAG}),
    "CanBeReferencing": Signature({"EntityName": _TEXT}, {"CanBeReferencing": _FLAG}),
    "CanManyToMany": Signature({"EntityName": _TEXT}, {"CanManyToMany": _FLAG}),
    "CommitFileBlocksUpload": Signature(
        {"FileName": _TEXT, "MimeType": _TEXT, "BlockList": _TEXTS, **_TOKEN}, {"FileId": _ID, "FileSizeInBytes": _BIG}
    ),
    "CreateCustomerRelationships": Signature(
        {
            "Lookup": "mscrm.ComplexLookupAttributeMetadata",
            "OneToManyRelationships": "Collection(mscrm.ComplexOneToManyRelationshipMetadata)",
            "SolutionUniqueName": f"{_TEXT}?",
        },
        {"AttributeId": _ID, "RelationshipIds": "Collection(Edm.Guid)"},
    ),
    "CreateEntities": Signature({"Entities": f"Collection({_TABLE})", "SolutionUniqueName": f"{_TEXT}?"}),
    "CreateMultiple": Signature(_TARGETS, {"Ids": "Collection(Edm.Guid)"}, ANY_ROWS),
    "DeleteFile": Signature({"FileId": _ID}),
    "DeleteMultiple": Signature(_TARGETS, bound_to=ANY_ROWS),
    "DeleteOptionValue": Signature({**_CHOICE, "Value": _NUMBER}),
    "DownloadBlock": Signature({"Offset": _BIG, "BlockLength": _BIG, **_TOKEN}, {"Data": "Edm.Binary?"}),
    "GetAutoNumberSeed": Signature(_AUTO_NUMBER, {"AutoNumberSeedValue": _BIG}),
    "GetNextAutoNumberValue": Signature(_AUTO_NUMBER, {"NextAutoNumberValue": f"{_TEXT}?"}),
    "GetValidManyToMany": Signature(results={"EntityNames": _TEXTS}),
    "GetValidReferencedEntities": Signature({"ReferencingEntityName": f"{_TEXT}?"}, {"EntityNames": _TEXTS}),
    "GetValidReferencingEntities": Signature({"ReferencedEntityName": f"{_TEXT}?"}, {"EntityNames": _TEXTS}),
    "InitializeFileBlocksDownload": Signature(
        _FILE, {**_TOKEN, "FileName": f"{_TEXT}?", "FileSizeInBytes": _BIG, "IsChunkingSupported": _FLAG}
    ),
    "InitializeFileBlocksUpload": Signature({**_FILE, "FileName": _TEXT}, _TOKEN),
    "InsertOptionValue": Signature({**_CHOICE, "Value": f"{_NUMBER}?", **_LABELS}, {"NewOptionValue": _NUMBER}),
    "InsertStatusValue": Signature(
        {**_STATUS, "Value": f"{_NUMBER}?", **_LABELS, "StateCode": _NUMBER}, {"NewOptionValue": _NUMBER}
    ),
    "IsValidStateTransition": Signature(
        {"Entity": ANY_ROW, "NewState": _TEXT, "NewStatus": _NUMBER}, {"IsValid": _FLAG}
    ),
    "Merge": Signature(
        {"Target": ANY_ROW, "Subordinate": ANY_ROW, "UpdateContent": f"{ANY_ROW}?", "PerformParentingChecks": _FLAG}
    ),
    "OrderOption": Signature({**_CHOICE, "Values": "Collection(Edm.Int32)"}),
    "PublishAllXml": Signature(),
    "PublishXml": Signature({"ParameterXml": _TEXT}),
    "ReactivateEntityKey": Signature({"EntityLogicalName": _TEXT, "EntityKeyLogicalName": _TEXT}),
    "RemoveMembersTeam": _MEMBERS,
    "RetrieveAllEntities": Signature(
        {"EntityFilters": "mscrm.EntityFilters", "RetrieveAsIfPublished": _FLAG},
        {"EntityMetadata": f"Collection({_TABLE})"},
    ),
    "RetrieveAvailableLanguages": Signature(results={"LocaleIds": "Collection(Edm.Int32)"}),
    "RetrieveCurrentOrganization": Signature(
        {"AccessType": "mscrm.EndpointAccessType"}, {"Detail": "mscrm.OrganizationDetail?"}
    ),
    "RetrieveEntity": Signature(
        {
            "EntityFilters": "mscrm.EntityFilters",
            "LogicalName": f"{_TEXT}?",
            "MetadataId": _ID,
            "RetrieveAsIfPublished": _FLAG,
        },
        {"EntityMetadata": f"{_TABLE}?"},
    ),
    "RetrieveExchangeRate": Signature({"TransactionCurrencyId": _ID}, {"ExchangeRate": "Edm.Decimal"}),
    "RetrieveMetadataChanges": Signature(
        {"Query": "mscrm.EntityQueryExpression?"},
        {
            "EntityMetadata": f"Collection({_TABLE})",
            "ServerVersionStamp": f"{_TEXT}?",
            "DeletedMetadata": "mscrm.DeletedMetadataCollection?",
        },
    ),
    "RetrieveProvisionedLanguages": Signature(results={"RetrieveProvisionedLanguages": "Collection(Edm.Int32)"}),
    "RetrieveTotalRecordCount": Signature(
        {"EntityNames": _TEXTS}, {"EntityRecordCountCollection": "mscrm.EntityRecordCountCollection?"}
    ),
    "RetrieveVersion": Signature(results={"Version": f"{_TEXT}?"}),
    "SetAutoNumberSeed": Signature({**_AUTO_NUMBER, "Value": _BIG}),
    "UpdateMultiple": Signature(_TARGETS, bound_to=ANY_ROWS),
    "UpdateOptionValue": Signature({**_CHOICE, "Value": _NUMBER, **_LABELS, "MergeLabels": f"{_FLAG}?"}),
    "UpdateStateValue": Signature(
        {**_STATUS, "Value": _NUMBER, **_LABELS, "MergeLabels": f"{_FLAG}?", "DefaultStatusCode": f"{_NUMBER}?"}
    ),
    "UploadBlock": Signature({"BlockId": _TEXT, "BlockData": "Edm.Binary", **_TOKEN}),
    "UpsertMultiple": Signature(_TARGETS, bound_to=ANY_ROWS),
    "WhoAmI": Signature(results={"BusinessUnitId": _ID, "UserId": _ID, "OrganizationId": _ID}),
}
