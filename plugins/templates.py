"""Texts for Stripe, filled in from a row: ``"Invoice {{ row.new_name }}, {{ amount }} {{ currency }}"``.

Templates are sandboxed Jinja2, compiled once per step. A column without a value is an empty text, so that
``{{ row.ordernumber or row.name }}`` works; an unknown name is refused when the step is loaded.

Source: https://jinja.palletsprojects.com/en/stable/sandbox/
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from dataverse_client.types import Entity, EntityReference, Money, OptionSetValue
from runner.plugin import InvalidPluginExecutionException

#: The names a template can use.
NAMES = frozenset({"row", "amount", "currency"})

_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, autoescape=False, finalize=lambda value: "" if value is None else value
)


class TemplateConfigurationError(ValueError):
    """The template is invalid: correct it in the step's configuration."""


class TextTemplate:
    """One configured text. ``name`` is its configuration key."""

    __slots__ = ("_name", "_template")

    def __init__(self, name: str, source: str) -> None:
        """Compile the template.

        Raises:
          TemplateConfigurationError: the syntax is wrong, or it uses an unknown name.
        """
        self._name = name
        try:
            self._template, unknown = _compiled(source)
        except TemplateError as error:
            raise TemplateConfigurationError(f"{name} is no template: {error}. Correct {source!r}.") from error
        if unknown:
            raise TemplateConfigurationError(
                f"{name} speaks of {', '.join(sorted(unknown))}; a template knows {', '.join(sorted(NAMES))}. "
                "Columns are written row.new_name."
            )

    def fill(self, row: Entity, amount: Decimal, currency: str) -> str:
        """The text for a row, stripped of surrounding white space.

        Raises:
          InvalidPluginExecutionException: it cannot be filled from this row, for instance by arithmetic on a text.
        """
        try:
            return self._template.render(row=_Columns(row.attributes), amount=amount, currency=currency).strip()
        except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
            raise InvalidPluginExecutionException(
                f"The {self._name} for Stripe cannot be made from this row: {error}. "
                "Ask your administrator to correct the step's configuration."
            ) from error


@cache
def _compiled(source: str) -> tuple[Template, frozenset[str]]:
    """The template and the unknown names in it. Cached, because many steps share the same few texts."""
    parsed = _ENVIRONMENT.parse(source)
    unknown = frozenset(meta.find_undeclared_variables(parsed)) - NAMES
    return _ENVIRONMENT.from_string(parsed), unknown


class _Columns:
    """A row's columns as plain values for a template; None for a column without a value."""

    __slots__ = ("_columns",)

    def __init__(self, columns: Mapping[str, Any]) -> None:
        self._columns = columns

    def __getitem__(self, column: str) -> Any:
        return _plain(self._columns.get(column))


def _plain(value: Any) -> Any:
    if isinstance(value, Money | OptionSetValue):
        return value.value
    if isinstance(value, EntityReference):
        return value.name or value.id
    return value
