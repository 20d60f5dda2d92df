"""The errors of the embedded Dataverse, with the platform's own codes and messages.

    OrganizationServiceFault          0x80040216  500  something unexpected
      InvalidArgument                 0x80040203  400
        EntityNotFound                0x80041102  400  no such table
        AttributeNotFound             0x80041103  400  no such column
        IncorrectAttributeValueType   0x80044354  400
        StringLengthTooLong           0x80044331  400
        ValueOutOfRange               0x80044330  400  numbers, dates and choices
        InvalidStateCodeStatusCode    0x80048408  400
        EntityKeyNotDefined           0x80060890  400
        NotAnAutoNumber               0x80060884  400
        LoopBeingCreated              0x80040507  400
        MethodNotSupported            0x80040800  400
        AttachmentBlocked             0x80043e09  400
        MimeTypeBlocked               0x80072522  400
        MimeTypeNotInAllowedList      0x80072521  400
        AttachmentFileSizeTooBig      0x80044a02  400
      ObjectDoesNotExist              0x80040217  404
        RecordNotFoundByEntityKey     0x80060891  404
      DuplicateRecord                 0x80040237  412
        DuplicateRecordEntityKey      0x80060892  412
      ConcurrencyVersionMismatch      0x80060882  412
      CannotDeleteDueToAssociation  0x80040227  405
      CannotDeleteUnlessCompleted   0x8004416a  405
      AsyncOperationInvalidStateChange  0x80044162, -65, -66, -67  400  not allowed in the system job's state
      InvalidOperation                0x8004023b  405
      NotSupported                    0x80040315  405
      SqlTimeout                      0x80044151  500  other requests took too long

Source: https://learn.microsoft.com/power-apps/developer/data-platform/reference/web-service-error-codes
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from runner.registrations.problems import nearest


class OrganizationServiceFault(Exception):
    """A request was refused. ``code`` is the unsigned 32-bit error code, ``message`` the text for people."""

    code = 0x80040216
    http_status = 500
    #: The position of the failed request in an ExecuteTransaction, from 0.
    faulted_request_index: int | None = None

    def __init__(self, message: str, *, code: int | None = None, http_status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        if http_status is not None:
            self.http_status = http_status


class InvalidArgument(OrganizationServiceFault):
    """The request is not valid, and a retry does not help."""

    code = 0x80040203
    http_status = 400

    @classmethod
    def wrong_target(cls, table: str, column: str, targets: Iterable[str], given: str) -> InvalidArgument:
        return cls(f"'{column}' of '{table}' refers to {' or '.join(targets)}, not to '{given}'.")


class EntityNotFound(InvalidArgument):
    """The environment has no such table."""

    code = 0x80041102

    @classmethod
    def named(cls, table: str, known: Iterable[str] = ()) -> EntityNotFound:
        """``known`` are the existing tables, from which the message suggests one."""
        return cls(
            f"The entity with a name = '{table}' with namemapping = 'Logical' was not found in the MetadataCache."
            f"{_meant(table, known)}"
        )


class AttributeNotFound(InvalidArgument):
    """The table has no such column."""

    code = 0x80041103

    @classmethod
    def named(cls, table: str, column: str, known: Iterable[str] = ()) -> AttributeNotFound:
        """``known`` are the existing columns, from which the message suggests one."""
        return cls(
            f"'{table}' entity doesn't contain attribute with Name = '{column}' and NameMapping = 'Logical'."
            f"{_meant(column, known)}"
        )


class IncorrectAttributeValueType(InvalidArgument):
    """The value has another type than its column."""

    code = 0x80044354

    @classmethod
    def of(cls, table: str, column: str, value: object, expected: str) -> IncorrectAttributeValueType:
        given = type(value).__name__
        advice = _advice(value)
        return cls(f"Incorrect attribute value type {given} for '{column}' of '{table}': it takes {expected}.{advice}")


def _meant(name: str, known: Iterable[str]) -> str:
    meant = nearest(str(name), known)
    return f" Did you mean '{meant}'?" if meant else ""


def _advice(value: object) -> str:
    """Advice about two frequent mistakes in Python: float amounts and naive datetimes."""
    if isinstance(value, float):
        return ' A float is not exact: use Decimal("10.50").'
    if isinstance(value, datetime) and value.tzinfo is None:
        return " This one has no time zone: add tzinfo=UTC."
    return ""


class StringLengthTooLong(InvalidArgument):
    """A text is longer than its column."""

    code = 0x80044331

    @classmethod
    def of(cls, table: str, column: str, limit: int) -> StringLengthTooLong:
        return cls(
            f"A validation error occurred. The length of the '{column}' attribute of the '{table}' entity "
            f"exceeded the maximum allowed length of '{limit}'."
        )


class ValueOutOfRange(InvalidArgument):
    """A number or date is outside its column's range, or a choice has no such value."""

    code = 0x80044330

    @classmethod
    def of(cls, table: str, column: str, value: object, accepted: Iterable[object] = ()) -> ValueOutOfRange:
        listed = ",".join(str(option) for option in accepted)
        hint = f" Accepted Values: {listed}" if listed else ""
        return cls(
            f"A validation error occurred. The value {value} of '{column}' on record of type '{table}' "
            f"is outside the valid range.{hint}"
        )


class InvalidStateCodeStatusCode(InvalidArgument):
    """The status reason does not belong to the state."""

    code = 0x80048408


class EntityKeyNotDefined(InvalidArgument):
    """The columns are not an alternate key of the table."""

    code = 0x80060890

    @classmethod
    def of(cls, table: str, columns: Iterable[str]) -> EntityKeyNotDefined:
        return cls(f"The specified key attributes ({', '.join(columns)}) are not a defined key for the {table} entity")


class NotAnAutoNumber(InvalidArgument):
    """The column has no AutoNumberFormat."""

    code = 0x80060884

    @classmethod
    def of(cls, table: str, column: str) -> NotAnAutoNumber:
        return cls(f"The attribute '{column}' of the entity '{table}' is not an Auto Number attribute.")


class LoopBeingCreated(InvalidArgument):
    """The row would be its own ancestor."""

    code = 0x80040507

    @classmethod
    def of(cls, table: str) -> LoopBeingCreated:
        return cls(f"Creating this parental association would create a loop in the hierarchy of {table}.")


class MethodNotSupported(InvalidArgument):
    """The table does not support the message."""

    code = 0x80040800

    @classmethod
    def of(cls, message: str, table: str) -> MethodNotSupported:
        return cls(
            f"The '{message}' method does not support entities of type '{table}'. "
            "MessageProcessorCache returned MessageProcessor.Empty."
        )


class AttachmentBlocked(InvalidArgument):
    """The organization does not take files with that extension.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/file-attributes#block-certain-types-of-files
    """

    code = 0x80043E09

    def __init__(self) -> None:
        super().__init__(
            "The attachment is either not a valid type or is too large. It cannot be uploaded or downloaded."
        )


class MimeTypeBlocked(InvalidArgument):
    """The organization does not take files of that MIME type."""

    code = 0x80072522

    @classmethod
    def of(cls, mime_type: str) -> MimeTypeBlocked:
        return cls(f"Operation not allowed as mime type {mime_type} is blocked.")


class MimeTypeNotInAllowedList(InvalidArgument):
    """The organization takes files of some MIME types, and that is none of them."""

    code = 0x80072521

    @classmethod
    def of(cls, mime_type: str) -> MimeTypeNotInAllowedList:
        return cls(f"Operation not allowed as mime type {mime_type} is not in the allow list.")


class AttachmentFileSizeTooBig(InvalidArgument):
    """The file is larger than its column takes. Dataverse's name of it is ``unManagedidsattachmentinvalidfilesize``.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/file-column-data#check-maximum-file-size
    """

    code = 0x80044A02

    def __init__(self) -> None:
        super().__init__("Attachment file size is too big.")


class ObjectDoesNotExist(OrganizationServiceFault):
    """There is no row with that id."""

    code = 0x80040217
    http_status = 404

    @classmethod
    def of(cls, table: str, id: str) -> ObjectDoesNotExist:
        return cls(f"{table} With Id = {id} Does Not Exist")


class RecordNotFoundByEntityKey(ObjectDoesNotExist):
    """There is no row with that alternate key."""

    code = 0x80060891

    @classmethod
    def in_table(cls, table: str) -> RecordNotFoundByEntityKey:
        return cls(f"A record with the specified key values does not exist in {table} entity")


class DuplicateRecord(OrganizationServiceFault):
    """A row with that id already exists."""

    code = 0x80040237
    http_status = 412


class DuplicateRecordEntityKey(DuplicateRecord):
    """A row with that alternate key already exists."""

    code = 0x80060892

    @classmethod
    def of(cls, key: str, columns: Iterable[str]) -> DuplicateRecordEntityKey:
        return cls(
            f"Entity Key {key} violated. A record with the same value for {', '.join(columns)} already exists. "
            "A duplicate record cannot be created. Select one or more unique values and try again."
        )


class ConcurrencyVersionMismatch(OrganizationServiceFault):
    """The row was changed since it was read. Read it again."""

    code = 0x80060882
    http_status = 412

    def __init__(
        self, message: str = "The version of the existing record doesn't match the RowVersion property provided."
    ) -> None:
        super().__init__(message)


class CannotDeleteDueToAssociation(OrganizationServiceFault):
    """Other rows refer to the row by a relationship that restricts its deletion."""

    code = 0x80040227
    http_status = 405


class CannotDeleteUnlessCompleted(OrganizationServiceFault):
    """A system job that is not completed cannot be deleted."""

    code = 0x8004416A
    http_status = 405


class AsyncOperationInvalidStateChange(OrganizationServiceFault):
    """The change is not allowed in the current state of the system job."""

    code = 0x80044162
    http_status = 400

    @classmethod
    def between(cls, state: int, wanted: int) -> AsyncOperationInvalidStateChange:
        goal, code = _STATE_CHANGES.get(wanted, ("", cls.code))
        return cls(
            f"The target state could not be set{goal} because the state transition is not valid. A job is resumed when "
            f"it is suspended (1), paused when it is locked (2), postponed until it is completed (3); it is in state "
            f"{state}.",
            code=code,
        )


_STATE_CHANGES = {0: (" to ready", 0x80044166), 1: (" to suspended", 0x80044167), 3: (" to complete", 0x80044165)}


class InvalidOperation(OrganizationServiceFault):
    """The request is not allowed in the current state."""

    code = 0x8004023B
    http_status = 405


class NotSupported(OrganizationServiceFault):
    """The table or message does not support the request."""

    code = 0x80040315
    http_status = 405


class SqlTimeout(OrganizationServiceFault):
    """The request waited too long for another one to end. Retry it later.

    Dataverse's HTTP status for it is not documented.
    Source: https://learn.microsoft.com/troubleshoot/power-platform/dataverse/bulk-deleting-data/bulk-operation-errors
    """

    code = 0x80044151

    @classmethod
    def after(cls, seconds: float) -> SqlTimeout:
        return cls(
            f"SQL timeout expired. Another request has held its transaction for {seconds:g} seconds, perhaps because "
            "the endpoint of a synchronous step has yet to answer. An endpoint that sends requests of its own must "
            "answer first, unless they only read rows that are kept in a file."
        )
