"""The names that the platform forms from others."""

from __future__ import annotations

import re


def schema_name_of(logical_name: str) -> str:
    """A name with capitals, where none was given.

    >>> schema_name_of("new_widget")
    'new_Widget'
    """
    prefix, separator, rest = logical_name.rpartition("_")
    return f"{prefix}{separator}{rest[:1].upper()}{rest[1:]}"


def words(schema_name: str) -> str:
    """The words in a schema name, for people.

    >>> words("new_StripePaymentIntentId")
    'Stripe Payment Intent Id'
    """
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", schema_name.removeprefix("new_"))
    return apart.replace("_", " ").strip()


def plural(logical_name: str) -> str:
    """The name of a table's entity set.

    >>> [plural(name) for name in ("new_widget", "new_entry", "new_box")]
    ['new_widgets', 'new_entries', 'new_boxes']
    """
    if logical_name.endswith("y"):
        return f"{logical_name[:-1]}ies"
    return f"{logical_name}es" if logical_name.endswith(("s", "x", "ch")) else f"{logical_name}s"
