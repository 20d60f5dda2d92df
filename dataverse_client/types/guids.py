"""Ids, as they are written everywhere: lower-case GUIDs."""

from __future__ import annotations

import os
import re

EMPTY_GUID = "00000000-0000-0000-0000-000000000000"

_GUID = re.compile(r"\{?([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})\}?\Z")


def guid(text: str) -> str:
    """``text`` as ids are written everywhere in this project: lower case, hyphens, no braces.

    Raises:
      ValueError: ``text`` is not a GUID.
    """
    match = _GUID.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not a GUID such as 6f1b8c1e-7a54-4d59-9f0c-2d1f4c1a7b11")
    return match[1].lower()


def is_guid(text: str) -> bool:
    """Whether :func:`guid` accepts ``text``."""
    return _GUID.match(text) is not None


def new_guid() -> str:
    """A random (version 4) GUID."""
    digits = bytearray(os.urandom(16))
    digits[6] = digits[6] & 0x0F | 0x40
    digits[8] = digits[8] & 0x3F | 0x80
    text = digits.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
