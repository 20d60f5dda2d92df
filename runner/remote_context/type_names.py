"""The ``__type`` that .NET's serializer writes into an object."""

from __future__ import annotations

_NAMESPACE = "http://schemas.microsoft.com/xrm/2011/Contracts"


def type_name(name: str) -> str:
    """The ``__type`` of the SDK's class of that name: ``Money:http://schemas.microsoft.com/...``."""
    return f"{name}:{_NAMESPACE}"
