"""The errors of reading a notification of Dataverse.

RemoteContextError               a notification that cannot be read or written
  UnsupportedMessageFormatError  written as .NET binary or XML: the endpoint's messageformat must be 2 (JSON)
  InvalidRemoteContextError      not the JSON document of a RemoteExecutionContext
  UnknownValueTypeError          a value to be written has a type that Dataverse does not have
"""

from __future__ import annotations


class RemoteContextError(ValueError):
    """A notification that cannot be read or written. A retry does not help."""


class UnsupportedMessageFormatError(RemoteContextError):
    """The endpoint is registered with a format that only .NET can read. Register it with JSON."""


class InvalidRemoteContextError(RemoteContextError):
    """The body is not a RemoteExecutionContext. The message names the member that is wrong."""


class UnknownValueTypeError(RemoteContextError):
    """A parameter or column has a value of a type that a RemoteExecutionContext cannot hold."""
