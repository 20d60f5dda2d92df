"""Dataverse's messages, and what each allows when a step is registered for it.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/org-service/use-messages
"""

from __future__ import annotations

import re

#: Message -> the kinds of image it supports.
#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/register-plug-in#define-entity-images
IMAGES = {
    "Create": frozenset({"post"}),
    "CreateMultiple": frozenset({"post"}),
    "Delete": frozenset({"pre"}),
    **dict.fromkeys(
        (
            "Update",
            "UpdateMultiple",
            "Assign",
            "SetState",
            "SetStateDynamicEntity",
            "Merge",
            "Route",
            "Send",
            "DeliverIncoming",
            "DeliverPromote",
        ),
        frozenset({"pre", "post"}),
    ),
}

#: Messages whose request names columns, so that a step can filter on them.
FILTERED = frozenset({"Update", "UpdateMultiple", "OnExternalUpdated"})

#: Messages that belong to no table: their steps are registered without one.
WITHOUT_TABLE = frozenset({"Associate", "Disassociate", "Publish", "PublishAll"})

#: Requests that only carry others, come down to others, or change nothing: no custom step runs on them.
WITHOUT_STEPS = frozenset(
    {
        "ExecuteAsync",
        "ExecuteMultiple",
        "ExecuteTransaction",
        "FetchXmlToQueryExpression",
        "IsValidStateTransition",
        "QueryExpressionToFetchXml",
        "RetrieveAllEntities",
        "RetrieveAllOptionSets",
        "RetrieveAttribute",
        "RetrieveAvailableLanguages",
        "RetrieveCurrentOrganization",
        "RetrieveEntity",
        "RetrieveEntityKey",
        "RetrieveOptionSet",
        "RetrieveProvisionedLanguages",
        "RetrieveRelationship",
        "RetrieveTotalRecordCount",
        "RetrieveVersion",
        "Upsert",
        "UpsertMultiple",
        "WhoAmI",
    }
)

MESSAGES = frozenset(
    {
        *IMAGES,
        *FILTERED,
        *WITHOUT_TABLE,
        *WITHOUT_STEPS,
        "AddItem",
        "AddListMembers",
        "AddMember",
        "AddMembers",
        "AddToQueue",
        "BackgroundSend",
        "Book",
        "CalculatePrice",
        "Cancel",
        "CancelSalesOrder",
        "CheckIncoming",
        "CheckPromote",
        "Clone",
        "CloneProduct",
        "Close",
        "ConvertQuoteToSalesOrder",
        "ConvertSalesOrderToInvoice",
        "DeleteMultiple",
        "Execute",
        "FulfillSalesOrder",
        "GenerateInvoiceFromOpportunity",
        "GenerateQuoteFromOpportunity",
        "GenerateSalesOrderFromOpportunity",
        "GetSalesOrderProductsFromOpportunity",
        "GrantAccess",
        "Lose",
        "ModifyAccess",
        "OnExternalCreated",
        "OnExternalDeleted",
        "PickFromQueue",
        "QualifyLead",
        "ReleaseToQueue",
        "RemoveFromQueue",
        "RemoveItem",
        "RemoveMember",
        "RemoveMembers",
        "Renew",
        "Reschedule",
        "Retrieve",
        "RetrieveExchangeRate",
        "RetrieveMultiple",
        "RetrievePrincipalAccess",
        "RetrieveSharedPrincipalsAndAccess",
        "RevokeAccess",
        "Revise",
        "RouteTo",
        "SetBusinessEquipment",
        "UnlockInvoicePricing",
        "UnlockSalesOrderPricing",
        "Win",
    }
)


#: A custom API's unique name starts with the publisher's prefix of two to eight characters: ``new_CapturePayment``.
#: Source: https://learn.microsoft.com/power-platform/alm/solution-concepts-alm#solution-publisher
CUSTOM_API = re.compile(r"^(?!mscrm)[A-Za-z][A-Za-z0-9]{1,7}_[A-Za-z0-9_]+$")


def message_exists(message: str) -> bool:
    """Whether there is such a message, or may be such a custom API."""
    return message in MESSAGES or CUSTOM_API.match(message) is not None
