"""Converts CRM's amounts to Stripe's minor units and back: 19.99 USD is 1999, 500 JPY is 500, 5.12 KWD is 5120.

Amounts are :class:`~decimal.Decimal` in the currency's own unit, or ``int`` in the minor units of Stripe's API.
Currencies are ISO 4217 codes in upper or lower case. Nothing is rounded unless the caller asks for it. The scales are
Stripe's, not ISO's: MGA and UGX differ.

    AmountError
      UnsupportedCurrencyError
      InexactAmountError
      AmountTooSmallError
      AmountTooLargeError

Source: https://docs.stripe.com/currencies
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import TypeVar

__all__ = [
    "MAXIMUM_MINOR_UNITS",
    "AmountError",
    "AmountTooLargeError",
    "AmountTooSmallError",
    "InexactAmountError",
    "Rounding",
    "UnsupportedCurrencyError",
    "check_charge",
    "from_minor_units",
    "minimum_charge",
    "to_minor_units",
]

#: The most a card can be charged: twelve digits of minor units. Stripe refuses less for some other methods.
MAXIMUM_MINOR_UNITS = 999_999_999_999


class AmountError(ValueError):
    """An amount Stripe cannot charge. The message is meant for the person who typed it."""


class UnsupportedCurrencyError(AmountError):
    """Stripe does not charge in this currency: choose another."""


class InexactAmountError(AmountError):
    """The amount has more decimals than the currency can be charged in: correct it, or ask for rounding."""


class AmountTooSmallError(AmountError):
    """Below the least Stripe charges in the currency."""


class AmountTooLargeError(AmountError):
    """Above the most Stripe charges in one payment."""


class Rounding(StrEnum):
    """What to do with an amount that has too many decimals."""

    REFUSE = "refuse"
    HALF_UP = "half_up"


@dataclass(frozen=True, slots=True)
class _Scale:
    """``exponent``: 1 unit is ``10**exponent`` minor units. ``decimals``: how many an amount may have."""

    exponent: int
    decimals: int

    @property
    def step(self) -> Decimal:
        return Decimal(1).scaleb(-self.decimals)


_TWO_DECIMAL = _Scale(exponent=2, decimals=2)
_ZERO_DECIMAL = _Scale(exponent=0, decimals=0)
#: The last of three digits must be 0: 5.124 KWD cannot be charged.
_THREE_DECIMAL = _Scale(exponent=3, decimals=2)
#: Amounts have no decimals, but the API has two: 5 UGX is 500.
_ZERO_DECIMAL_SENT_AS_TWO = _Scale(exponent=2, decimals=0)

T = TypeVar("T")


def _each(codes: str, value: T) -> dict[str, T]:
    return dict.fromkeys(codes.split(), value)


_SCALES = {
    **_each("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF", _ZERO_DECIMAL),
    **_each("BHD JOD KWD OMR TND", _THREE_DECIMAL),
    **_each("ISK UGX", _ZERO_DECIMAL_SENT_AS_TWO),
    **_each(
        """
        AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CNY
        COP CRC CVE CZK DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR JMD
        KES KGS KHR KYD KZT LAK LBP LKR LRD LSL MAD MDL MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK
        NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SEK SGD SHP SLE SOS SRD STD SZL THB TJS TOP
        TRY TTD TWD TZS UAH USD UYU UZS WST XCD XCG YER ZAR ZMW
        """,
        _TWO_DECIMAL,
    ),
}

_MINIMUMS = {
    **_each("ARS AUD BRL CAD CHF COP EUR IDR ILS INR NZD PHP RUB SGD USD ZAR", Decimal("0.50")),
    **_each("GBP", Decimal("0.30")),
    **_each("AED MYR PLN RON", Decimal("2.00")),
    **_each("DKK", Decimal("2.50")),
    **_each("NOK SEK", Decimal("3.00")),
    **_each("HKD", Decimal("4.00")),
    **_each("MXN THB", Decimal("10.00")),
    **_each("CZK", Decimal("15.00")),
    **_each("HUF", Decimal("175.00")),
    **_each("JPY KRW", Decimal(50)),
}


def to_minor_units(amount: Decimal, currency: str, *, rounding: Rounding = Rounding.REFUSE) -> int:
    """``amount`` as Stripe's API writes it. Limits are :func:`check_charge`'s business.

    Raises:
      UnsupportedCurrencyError: Stripe has no such currency.
      InexactAmountError: more decimals than the currency can be charged in, and ``rounding`` is REFUSE.
      AmountTooLargeError: too many digits to be an amount at all.
      TypeError: ``amount`` is not a Decimal.
    """
    scale = _scale_of(currency)
    _require_plausible(amount, currency)
    rounded = amount.quantize(scale.step, ROUND_HALF_UP)
    if rounded != amount and rounding is Rounding.REFUSE:
        raise _inexact(amount, currency, scale)
    return int(rounded.scaleb(scale.exponent))


def from_minor_units(units: int, currency: str) -> Decimal:
    """What Stripe's ``units`` are in the currency's own unit, exactly: 1999 of USD is ``Decimal("19.99")``.

    Raises:
      UnsupportedCurrencyError: Stripe has no such currency.
    """
    return Decimal(units).scaleb(-_scale_of(currency).exponent)


def minimum_charge(currency: str) -> Decimal | None:
    """The least Stripe charges in ``currency``; None where it publishes no minimum. Zero is never charged.

    Source: https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
    """
    return _MINIMUMS.get(currency.upper())


def check_charge(units: int, currency: str) -> None:
    """See that Stripe would charge ``units`` minor units in one payment.

    Raises:
      UnsupportedCurrencyError: Stripe has no such currency.
      AmountTooSmallError: nothing, less than nothing, or below the currency's minimum.
      AmountTooLargeError: more than :data:`MAXIMUM_MINOR_UNITS`.
    """
    amount, code = from_minor_units(units, currency), currency.upper()
    minimum = minimum_charge(code)
    if minimum is not None and amount < minimum:
        raise AmountTooSmallError(f"{amount} {code} is too little to charge: the minimum is {minimum} {code}.")
    if units <= 0:
        raise AmountTooSmallError(f"{amount} {code} cannot be charged: the amount must be more than zero.")
    if units > MAXIMUM_MINOR_UNITS:
        maximum = from_minor_units(MAXIMUM_MINOR_UNITS, code)
        raise AmountTooLargeError(
            f"{amount} {code} is too much for one payment: the maximum is {maximum} {code}. Split it."
        )


def _scale_of(currency: str) -> _Scale:
    try:
        return _SCALES[currency.upper()]
    except KeyError:
        raise UnsupportedCurrencyError(
            f"Stripe takes no payments in {currency.upper()!r}. Choose another currency, such as EUR or USD."
        ) from None


def _require_plausible(amount: Decimal, currency: str) -> None:
    """Keeps what follows inside the default context's 28 digits, where quantizing never loses one."""
    if not isinstance(amount, Decimal):
        raise TypeError(f"An amount is a Decimal, not {type(amount).__name__}: Decimal('19.99')")
    if not amount.is_finite() or amount.adjusted() > 15:
        raise AmountTooLargeError(f"{amount} {currency.upper()} is not an amount that can be charged.")


def _inexact(amount: Decimal, currency: str, scale: _Scale) -> InexactAmountError:
    below, above = amount.quantize(scale.step, ROUND_FLOOR), amount.quantize(scale.step, ROUND_CEILING)
    code = currency.upper()
    return InexactAmountError(
        f"{amount} {code} cannot be charged exactly: {code} is charged in steps of {scale.step}. "
        f"Use {below} or {above} {code}."
    )
