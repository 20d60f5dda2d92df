"""Refuses files whose extension or MIME type the organization's settings do not allow.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/file-attributes#block-certain-types-of-files
"""

from __future__ import annotations

from dataverse_client.types import EntityReference
from runner.emulator.errors import AttachmentBlocked, MimeTypeBlocked, MimeTypeNotInAllowedList
from runner.emulator.messages.environment import Environment
from runner.emulator.seed import ORGANIZATION_ID

_ORGANIZATION = EntityReference("organization", ORGANIZATION_ID)


def refuse_extension(engine: Environment, file_name: str) -> None:
    """Raises AttachmentBlocked when the extension is in ``blockedattachments``."""
    _, dot, extension = file_name.rpartition(".")
    if dot and extension.lower() in _setting(engine, "blockedattachments"):
        raise AttachmentBlocked


def refuse_mime_type(engine: Environment, mime_type: str) -> None:
    """Raises MimeTypeNotInAllowedList; if nothing is in ``allowedmimetypes``, MimeTypeBlocked."""
    allowed = _setting(engine, "allowedmimetypes")
    if allowed and mime_type.lower() not in allowed:
        raise MimeTypeNotInAllowedList.of(mime_type)
    if not allowed and mime_type.lower() in _setting(engine, "blockedmimetypes"):
        raise MimeTypeBlocked.of(mime_type)


def _setting(engine: Environment, name: str) -> frozenset[str]:
    text = engine.records.retrieve(_ORGANIZATION, (name,), formatted=False).get(name) or ""
    return frozenset(part.strip().lower() for part in text.split(";") if part.strip())
