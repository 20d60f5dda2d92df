"""The settings a step's ``configuration:`` may hold, checked when the step is loaded."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from azure_bridge.minor_units import Rounding
from plugins.payment_tables import RECEIPT_EMAIL
from plugins.templates import TextTemplate

Choice = TypeVar("Choice", bound=StrEnum)


class ConfigurationError(ValueError):
    """The step's configuration cannot be used. The message names the key and what it may be."""


class Collect(StrEnum):
    """How the customer pays: ``intent`` by your own page or app, ``checkout`` on a page Stripe hosts."""

    INTENT = "intent"
    CHECKOUT = "checkout"


class CaptureMethod(StrEnum):
    """When the money is taken.

    Source: https://docs.stripe.com/api/payment_intents/create#create_payment_intent-capture_method
    """

    AUTOMATIC = "automatic"
    AUTOMATIC_ASYNC = "automatic_async"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionSettings:
    """A step's configuration, ready to use. ``docs/plugins.md`` explains each key."""

    collect: Collect = Collect.INTENT
    rounding: Rounding = Rounding.REFUSE
    description: TextTemplate | None = None
    statement_descriptor_suffix: TextTemplate | None = None
    receipt_email: TextTemplate = field(
        default_factory=lambda: TextTemplate("receipt_email", f"{{{{ row.{RECEIPT_EMAIL} }}}}")
    )
    allowed_payment_method_types: tuple[str, ...] = ()
    capture_method: CaptureMethod | None = None
    success_url: str | None = None
    cancel_url: str | None = None


def read_settings(configuration: Mapping[str, Any]) -> CollectionSettings:
    """Check a step's configuration and compile its templates.

    Raises:
      ConfigurationError: an unknown key or value, or ``collect: checkout`` without a ``success_url``.
      TemplateConfigurationError: a text is not a valid template.
    """
    for key in configuration:
        if key not in _READERS:
            raise ConfigurationError(f"Unknown configuration key {key!r}.{_suggestion(key)}")
    settings = CollectionSettings(
        **{key: _READERS[key](key, value) for key, value in configuration.items() if value is not None}
    )
    if settings.collect is Collect.CHECKOUT and settings.success_url is None:
        raise ConfigurationError(
            "collect: checkout needs success_url, the page a customer sees after paying, such as "
            "https://shop.example.com/thanks"
        )
    return settings


def _suggestion(key: object) -> str:
    close = difflib.get_close_matches(str(key), _READERS, n=1)
    return f" Did you mean {close[0]!r}?" if close else f" Known keys: {', '.join(_READERS)}."


def _choice(kind: type[Choice]) -> Any:
    def read(key: str, value: object) -> Choice:
        try:
            return kind(str(value))
        except ValueError:
            raise ConfigurationError(f"{key} is {value!r}; it can be {', '.join(kind)}.") from None

    return read


def _text(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"{key} is {value!r}; write a text.")
    return value


def _template(key: str, value: object) -> TextTemplate:
    return TextTemplate(key, _text(key, value))


def _url(key: str, value: object) -> str:
    url = _text(key, value)
    if not url.startswith(("https://", "http://localhost", "http://127.0.0.1")):
        raise ConfigurationError(f"{key} is {url!r}; write an https:// address.")
    return url


def _names(key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(one, str) for one in value):
        raise ConfigurationError(f"{key} is {value!r}; write a list such as [card, sepa_debit].")
    return tuple(value)


_READERS: Mapping[str, Any] = {
    "collect": _choice(Collect),
    "rounding": _choice(Rounding),
    "description": _template,
    "statement_descriptor_suffix": _template,
    "receipt_email": _template,
    "allowed_payment_method_types": _names,
    "capture_method": _choice(CaptureMethod),
    "success_url": _url,
    "cancel_url": _url,
}
