"""Checks the limits of values: amounts, metadata, texts and statement descriptors."""

from __future__ import annotations

from typing import Any

from azure_bridge.minor_units import (
    AmountError,
    AmountTooLargeError,
    AmountTooSmallError,
    UnsupportedCurrencyError,
    check_charge,
    from_minor_units,
    to_minor_units,
)
from runner.stripe_simulator.errors import StripeRefusal, invalid
from runner.stripe_simulator.jsons import JSON

METADATA_KEYS, METADATA_KEY_LENGTH, METADATA_VALUE_LENGTH = 50, 40, 500
DESCRIPTION_LENGTH = 1000
DESCRIPTOR_LENGTH = 22
_DESCRIPTOR_FORBIDS = frozenset("<>\\'\"*")


def check_amount(units: int, currency: str) -> None:
    """Source: https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts"""
    if units < 1:
        raise invalid(
            "This value must be greater than or equal to 1.", code="parameter_invalid_integer", param="amount"
        )
    try:
        check_charge(units, currency)
        to_minor_units(from_minor_units(units, currency), currency)
    except AmountError as problem:
        raise _amount_refusal(problem, currency) from problem


def _amount_refusal(problem: AmountError, currency: str) -> StripeRefusal:
    match problem:
        case UnsupportedCurrencyError():
            return invalid(
                f"Invalid currency: {currency}. Stripe currently supports other currencies.", param="currency"
            )
        case AmountTooSmallError():
            return invalid(f"Amount must be at least the minimum. {problem}", code="amount_too_small", param="amount")
        case AmountTooLargeError():
            return invalid(
                f"Amount must be no more than the maximum. {problem}", code="amount_too_large", param="amount"
            )
        case _:
            return invalid(f"Invalid amount. {problem}", param="amount")


def merge_metadata(current: dict[str, str], given: Any) -> dict[str, str]:
    """Merge metadata by key. An empty value removes its key, and ``metadata=""`` removes all.

    Source: https://docs.stripe.com/metadata
    """
    if given == "":
        return {}
    merged = {key: value for key, value in {**current, **(given or {})}.items() if value != ""}
    if len(merged) > METADATA_KEYS:
        raise invalid(
            f"You can have up to {METADATA_KEYS} metadata keys, but this makes {len(merged)}.", param="metadata"
        )
    return merged


def check_metadata(metadata: Any, path: str = "metadata") -> None:
    for key, value in (metadata or {}).items() if metadata != "" else ():
        _at_most(METADATA_KEY_LENGTH, key, "Metadata keys", f"{path}[{key}]")
        _at_most(METADATA_VALUE_LENGTH, value, "Metadata values", f"{path}[{key}]")


def check_texts(params: JSON) -> None:
    """Check the lengths of texts, and the characters of statement descriptors."""
    check_metadata(params.get("metadata"))
    _at_most(DESCRIPTION_LENGTH, params.get("description") or "", "Descriptions", "description")
    for name in ("statement_descriptor", "statement_descriptor_suffix"):
        if text := params.get(name):
            _check_descriptor(text, name)


def _check_descriptor(text: str, name: str) -> None:
    """Source: https://docs.stripe.com/get-started/account/statement-descriptors"""
    _at_most(DESCRIPTOR_LENGTH, text, "Statement descriptors", name)
    if forbidden := sorted(_DESCRIPTOR_FORBIDS & set(text)):
        raise invalid(f"Invalid {name}: it cannot contain {' '.join(forbidden)}", param=name)
    if not any(character.isalpha() and character.isascii() for character in text):
        raise invalid(f"Invalid {name}: it must contain at least one Latin letter", param=name)


def _at_most(limit: int, text: str, what: str, param: str) -> None:
    if len(text) > limit:
        raise invalid(f"{what} can have up to {limit} characters, but you passed {len(text)}.", param=param)
