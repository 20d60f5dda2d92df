"""Texts for Stripe made from a row: ``"Invoice {{ row.new_name }}, {{ amount }} {{ currency }}"``.

Templates are Jinja2, sandboxed, compiled once per step. A column without a value is empty text, so that
``{{ row.ordernumber or row.name }}`` works; a name that does not exist is refused when the step is loaded.

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

#: What a template can speak of.
NAMES = frozenset({"row", "amount", "currency"})

_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, autoescape=False, finalize=lambda value: "" if value is None else value
)


class TemplateConfigurationError(ValueError):
    """A template that can never be filled: correct it in the step's configuration."""


class TextTemplate:
    """One configured text. ``name`` is its configuration key."""

    __slots__ = ("_name", "_template")

    def __init__(self, name: str, source: str) -> None:
        """Raises TemplateConfigurationError: it is no template, or speaks of names there are not."""
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
        """The text for a row, without blanks around it.

        Raises:
          InvalidPluginExecutionException: the row's values do not fit, such as arithmetic on a text.
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
    """The template, and the names it speaks of that there are not. Many steps share few texts."""
    parsed = _ENVIRONMENT.parse(source)
    unknown = frozenset(meta.find_undeclared_variables(parsed)) - NAMES
    return _ENVIRONMENT.from_string(parsed), unknown


class _Columns:
    """A row's columns as a template reads them: plain values, and None for a column that has none."""

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
