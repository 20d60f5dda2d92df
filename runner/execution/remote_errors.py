"""The errors of reading a notification of Dataverse.

RemoteContextError               a notification that cannot be understood, or not be written
  UnsupportedMessageFormatError  written as .NET binary or XML: the endpoint's messageformat must be 2 (JSON)
  InvalidRemoteContextError      not the JSON document of a RemoteExecutionContext
  UnknownValueTypeError          a value to be written is of no type that Dataverse has
"""

from __future__ import annotations


class RemoteContextError(ValueError):
    """A notification that cannot be read or written. Trying again does not help."""


class UnsupportedMessageFormatError(RemoteContextError):
    """The endpoint is registered with a format that only .NET reads. Register it with JSON."""


class InvalidRemoteContextError(RemoteContextError):
    """The body is not a RemoteExecutionContext. The message says where it stops being one."""


class UnknownValueTypeError(RemoteContextError):
    """A parameter or column holds something that has no form on the wire."""
