"""The rows of a new environment, under fixed ids: organization, root business unit, users, currencies, views."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from dataverse_client.types import Entity, EntityReference, OptionSetValue
from runner.emulator.metadata.stable_ids import stable_id

ORGANIZATION_ID = stable_id("organization", "default")
ROOT_BUSINESS_UNIT_ID = stable_id("businessunit", "root")
SYSTEM_USER_ID = stable_id("systemuser", "SYSTEM")
ADMINISTRATOR_ID = stable_id("systemuser", "administrator")
INTEGRATION_USER_ID = stable_id("systemuser", "integration")

ORGANIZATION_NAME = "embedded"
BASE_CURRENCY = "USD"

#: By ISO code: name, symbol, decimal places, and units for one unit of the base currency. The rates are samples.
_CURRENCIES = {
    "USD": ("US Dollar", "$", 2, "1"),
    "AUD": ("Australian Dollar", "A$", 2, "1.54"),
    "BHD": ("Bahraini Dinar", "BD", 3, "0.376"),
    "BRL": ("Brazilian Real", "R$", 2, "5.4"),
    "CAD": ("Canadian Dollar", "CA$", 2, "1.38"),
    "CHF": ("Swiss Franc", "CHF", 2, "0.8"),
    "CLP": ("Chilean Peso", "CLP$", 0, "950"),
    "CZK": ("Czech Koruna", "Kč", 2, "21"),
    "DKK": ("Danish Krone", "kr.", 2, "6.4"),
    "EUR": ("Euro", "€", 2, "0.8"),
    "GBP": ("Pound Sterling", "£", 2, "0.75"),
    "HUF": ("Hungarian Forint", "Ft", 2, "340"),
    "INR": ("Indian Rupee", "₹", 2, "88"),
    "ISK": ("Icelandic Króna", "kr", 0, "122"),
    "JPY": ("Japanese Yen", "¥", 0, "150"),
    "KRW": ("South Korean Won", "₩", 0, "1390"),
    "KWD": ("Kuwaiti Dinar", "KD", 3, "0.305"),
    "MXN": ("Mexican Peso", "MX$", 2, "18.5"),
    "NOK": ("Norwegian Krone", "kr", 2, "10"),
    "NZD": ("New Zealand Dollar", "NZ$", 2, "1.7"),
    "PLN": ("Polish Złoty", "zł", 2, "3.6"),
    "SEK": ("Swedish Krona", "kr", 2, "9.5"),
    "SGD": ("Singapore Dollar", "S$", 2, "1.29"),
    "UGX": ("Ugandan Shilling", "USh", 0, "3600"),
}


#: The name of each view, its table, and its id in every environment.
_VIEWS = (
    ("Accounts", "account", "00000000-0000-0000-00aa-000010001002"),
    ("Contacts", "contact", "00000000-0000-0000-00aa-000010001004"),
    ("Orders", "salesorder", None),
    ("Payments", "new_payment", None),
)


def currency_id(iso_code: str) -> str:
    """The id of a seeded currency's row."""
    return stable_id("transactioncurrency", iso_code)


def seed_rows(organization_name: str = ORGANIZATION_NAME) -> Iterator[Entity]:
    """The rows of a new environment, each after the rows it refers to."""
    yield Entity("businessunit", ROOT_BUSINESS_UNIT_ID, {"name": organization_name})
    yield from _users()
    for code, (name, symbol, precision, rate) in _CURRENCIES.items():
        columns = {"isocurrencycode": code, "currencyname": name, "currencysymbol": symbol}
        numbers = {"currencyprecision": precision, "exchangerate": Decimal(rate)}
        yield Entity("transactioncurrency", currency_id(code), columns | numbers)
    base = EntityReference("transactioncurrency", currency_id(BASE_CURRENCY))
    organization = {"name": organization_name, "basecurrencyid": base, "plugintracelogsetting": OptionSetValue(2)}
    yield Entity("organization", ORGANIZATION_ID, organization)
    yield from _views()


def _views() -> Iterator[Entity]:
    for plural, table, id in _VIEWS:
        fetch = (
            f'<fetch version="1.0" mapping="logical"><entity name="{table}"><all-attributes/>'
            '<filter type="and"><condition attribute="statecode" operator="eq" value="0"/></filter></entity></fetch>'
        )
        columns = {"name": f"Active {plural}", "returnedtypecode": table, "fetchxml": fetch, "isdefault": True}
        yield Entity("savedquery", id or stable_id("savedquery", plural), columns)


def _users() -> Iterator[Entity]:
    unit = EntityReference("businessunit", ROOT_BUSINESS_UNIT_ID)
    yield Entity("systemuser", SYSTEM_USER_ID, {"lastname": "SYSTEM", "businessunitid": unit})
    administrator = {"firstname": "Ada", "lastname": "Administrator", "domainname": "administrator@example.com"}
    yield Entity("systemuser", ADMINISTRATOR_ID, administrator | {"businessunitid": unit})
    integration = {"lastname": "Integration", "domainname": "integration@example.com", "businessunitid": unit}
    application = {"applicationid": stable_id("application", "integration"), "accessmode": OptionSetValue(4)}
    yield Entity("systemuser", INTEGRATION_USER_ID, integration | application)
