"""CRM money and Stripe's minor units agree to the last digit, or the amount is refused."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azure_bridge.minor_units import (
    MAXIMUM_MINOR_UNITS,
    AmountTooLargeError,
    AmountTooSmallError,
    InexactAmountError,
    Rounding,
    UnsupportedCurrencyError,
    check_charge,
    from_minor_units,
    minimum_charge,
    to_minor_units,
)

ONE_OF_EACH_SCALE = ["USD", "JPY", "MGA", "KWD", "UGX", "ISK", "HUF", "TWD"]


@pytest.mark.parametrize(
    ("amount", "currency", "units"),
    [
        ("19.99", "USD", 1999),
        ("19.9900", "usd", 1999),
        ("500", "JPY", 500),
        ("500.0000", "JPY", 500),
        ("1200", "MGA", 1200),
        ("5.12", "KWD", 5120),
        ("5", "UGX", 500),
        ("350", "ISK", 35000),
        ("175.50", "HUF", 17550),
        ("10.25", "TWD", 1025),
    ],
)
def test_an_amount_in_minor_units_and_back(amount: str, currency: str, units: int) -> None:
    assert to_minor_units(Decimal(amount), currency) == units
    assert from_minor_units(units, currency) == Decimal(amount)


@pytest.mark.parametrize(
    ("amount", "currency", "rounded"),
    [
        ("5.124", "KWD", 5120),
        ("5.125", "KWD", 5130),
        ("19.995", "USD", 2000),
        ("99.5", "JPY", 100),
        ("5.4", "UGX", 500),
    ],
)
def test_an_inexact_amount_is_refused_unless_rounding_is_asked_for(amount: str, currency: str, rounded: int) -> None:
    with pytest.raises(InexactAmountError):
        to_minor_units(Decimal(amount), currency)
    assert to_minor_units(Decimal(amount), currency, rounding=Rounding.HALF_UP) == rounded


def test_the_refusal_names_the_amounts_that_would_do() -> None:
    with pytest.raises(InexactAmountError, match=r"5\.124 KWD .* Use 5\.12 or 5\.13 KWD"):
        to_minor_units(Decimal("5.124"), "KWD")


def test_a_digit_far_behind_the_point_is_not_lost() -> None:
    with pytest.raises(InexactAmountError):
        to_minor_units(Decimal("1.0000000000000000000000000000000000001"), "USD")


def test_an_unknown_currency_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedCurrencyError, match="'XYZ'"):
        to_minor_units(Decimal(1), "xyz")


def test_too_little_is_refused_naming_the_minimum() -> None:
    with pytest.raises(AmountTooSmallError, match=r"0\.30 USD .* minimum is 0\.50 USD"):
        check_charge(30, "USD")
    check_charge(30, "GBP")


@pytest.mark.parametrize("units", [0, -100])
@pytest.mark.parametrize("currency", ["USD", "KWD"])
def test_zero_and_negative_amounts_are_never_charged(units: int, currency: str) -> None:
    with pytest.raises(AmountTooSmallError):
        check_charge(units, currency)


def test_too_much_is_refused_naming_the_maximum() -> None:
    check_charge(MAXIMUM_MINOR_UNITS, "USD")
    with pytest.raises(AmountTooLargeError, match=r"maximum is 9999999999\.99 USD"):
        check_charge(MAXIMUM_MINOR_UNITS + 1, "USD")


@pytest.mark.parametrize("amount", ["1E+40", "NaN", "Infinity"])
def test_an_amount_beyond_every_limit_is_refused(amount: str) -> None:
    with pytest.raises(AmountTooLargeError):
        to_minor_units(Decimal(amount), "USD")


def test_a_float_is_refused() -> None:
    with pytest.raises(TypeError, match="float"):
        to_minor_units(19.99, "USD")  # type: ignore[arg-type]


def test_a_currency_without_a_published_minimum_has_none() -> None:
    assert minimum_charge("kwd") is None
    assert minimum_charge("jpy") == 50


@given(st.decimals(min_value=-10_000_000, max_value=10_000_000, places=4), st.sampled_from(ONE_OF_EACH_SCALE))
def test_what_converts_comes_back_the_same(amount: Decimal, currency: str) -> None:
    try:
        units = to_minor_units(amount, currency)
    except InexactAmountError:
        return
    assert from_minor_units(units, currency) == amount


@given(st.decimals(min_value=0, max_value=10_000_000, places=4), st.sampled_from(ONE_OF_EACH_SCALE))
def test_rounding_moves_an_amount_by_half_a_step_at_most(amount: Decimal, currency: str) -> None:
    step = Decimal(1) if currency in {"JPY", "MGA", "UGX", "ISK"} else Decimal("0.01")
    rounded = from_minor_units(to_minor_units(amount, currency, rounding=Rounding.HALF_UP), currency)
    assert abs(rounded - amount) <= step / 2
    assert to_minor_units(rounded, currency) == to_minor_units(amount, currency, rounding=Rounding.HALF_UP)
