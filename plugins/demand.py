"""What Stripe has to collect for a row: the amount in minor units, the currency, the texts, and the metadata."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from azure_bridge.minor_units import AmountError, AmountTooSmallError, check_charge, to_minor_units
from dataverse_client.types import Entity, EntityReference
from plugins.configuration import CollectionSettings
from plugins.linked_payments import collected_by_payments
from plugins.payment_tables import CURRENCY, SALES_ORDER, PaymentTable, amount_of
from plugins.templates import TextTemplate
from runner.plugin import InvalidPluginExecutionException, PluginContext

_LONGEST_DESCRIPTION = 1000
#: Together with the account's prefix. Stripe puts the prefix first, so less of the suffix may be visible.
_LONGEST_SUFFIX = 22
_NOT_IN_SUFFIX = re.compile(r"""[<>\\'"*]|[^ -~]""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What to charge for one row. ``amount`` is in minor units, ``currency`` in lower case as Stripe writes it."""

    amount: int
    currency: str
    #: description, receipt_email and statement_descriptor_suffix, without those that are empty.
    texts: Mapping[str, str]
    #: See :func:`row_metadata`. The correlation id differs from call to call and is added when the request is sent.
    metadata: Mapping[str, str]


def demand_for(context: PluginContext, table: PaymentTable, row: Entity, settings: CollectionSettings) -> Demand | None:
    """What to collect for ``row``. None when it has no amount yet, or when linked Payments collect all of it.

    Raises:
      InvalidPluginExecutionException: the amount cannot be charged; the message says why, and which amounts can.
    """
    amount = amount_of(row, table)
    claimed = collected_by_payments(context, row) if table is SALES_ORDER else Decimal(0)
    if amount is None or (table is SALES_ORDER and amount <= claimed):
        return None
    due, code = amount - claimed, _currency_code(context, row)
    try:
        units = to_minor_units(due, code, rounding=settings.rounding)
        check_charge(units, code)
    except AmountError as error:
        if claimed and isinstance(error, AmountTooSmallError):
            context.trace("Left uncollected beside the linked Payments: {}", error)
            return None
        raise InvalidPluginExecutionException(str(error)) from error
    return Demand(
        amount=units,
        currency=code.lower(),
        texts=_texts(row, settings, due, code),
        metadata=row_metadata(row, table, context),
    )


def row_metadata(row: Entity, table: PaymentTable, context: PluginContext) -> dict[str, str]:
    """The metadata by which the bridge finds the row that an intent or a session belongs to."""
    return {
        table.metadata_key: str(row.id),
        "CRM_Table": table.logical_name,
        "CRM_OrganizationId": context.organization_id,
    }


def _texts(row: Entity, settings: CollectionSettings, due: Decimal, code: str) -> dict[str, str]:
    def fill(template: TextTemplate | None) -> str:
        return template.fill(row, due, code) if template else ""

    texts = {
        "description": fill(settings.description)[:_LONGEST_DESCRIPTION],
        "receipt_email": fill(settings.receipt_email),
        "statement_descriptor_suffix": _suffix(fill(settings.statement_descriptor_suffix)),
    }
    return {name: text for name, text in texts.items() if text}


def _currency_code(context: PluginContext, row: Entity) -> str:
    """The ISO code of the row's currency; the organization's base currency when the row names none."""
    currency = row.get(CURRENCY) or _base_currency(context)
    found = context.organization.retrieve("transactioncurrency", currency.id, ["isocurrencycode"])
    return str(found["isocurrencycode"])


def _base_currency(context: PluginContext) -> EntityReference:
    organization = context.organization.retrieve("organization", context.organization_id, ["basecurrencyid"])
    currency: EntityReference = organization["basecurrencyid"]
    return currency


def _suffix(text: str) -> str:
    """``text`` without what a bank statement cannot show; empty when no letter remains, which Stripe would refuse.

    Source: https://docs.stripe.com/get-started/account/statement-descriptors
    """
    without_accents = unicodedata.normalize("NFKD", text)
    suffix = _NOT_IN_SUFFIX.sub("", without_accents)[:_LONGEST_SUFFIX].strip()
    return suffix if any(character.isalpha() for character in suffix) else ""
