"""The errors of notifications that cannot be delivered, with the platform's own codes.

    NotificationFailed                        400
      WebhooksNonSuccessHttpResponse  0x80050201  the endpoint's response was not 2xx
      WebhooksHttpRequestTimedOut     0x80050202  it did not answer in time
      WebhooksInvalidHttpHeaders      0x80050203  the endpoint's authvalue holds no usable headers
      WebhooksInvalidHttpQueryParams  0x80050204  the endpoint's authvalue holds no usable query parameters
      WebhooksPostRequestFailed       0x80050205  it could not be reached
      WebhooksMaxSizeExceeded         0x80050207  too long, even without parameters and images
      ServiceBusMaxSizeExceeded       0x80050208  the same for Service Bus
      ServiceBusPostFailed            0x80044175
      ServiceBusPostPostponed         0x80044179  Service Bus cannot be reached: the job is retried

Dataverse's HTTP status for a failed synchronous webhook is not documented. Here it is 400, as for a plug-in that
refuses, because the step failed and not the platform.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/reference/web-service-error-codes
"""

from __future__ import annotations

from runner.emulator.errors import OrganizationServiceFault
from runner.plugin import OperationStatus


class NotificationFailed(OrganizationServiceFault):
    """A step's notification was not delivered."""

    http_status = 400


class WebhooksNonSuccessHttpResponse(NotificationFailed):
    """The endpoint refused. ``message`` ends with the body of its response, which Dataverse leaves out."""

    code = 0x80050201

    @classmethod
    def of(cls, endpoint: str, status: int, said: str) -> WebhooksNonSuccessHttpResponse:
        return cls(
            "The webhook call failed because the http request received non-success httpStatus code. Please check your "
            f"webhook request handler. {endpoint} answered {status}{f': {said}' if said else '.'}"
        )


class WebhooksHttpRequestTimedOut(NotificationFailed):
    """The endpoint took too long. It should respond first and do its work later."""

    code = 0x80050202

    @classmethod
    def of(cls, endpoint: str, seconds: float) -> WebhooksHttpRequestTimedOut:
        return cls(
            "The webhook call failed because the http request timed out at client side. Please check your webhook "
            f"request handler. {endpoint} did not answer within {seconds:g} seconds."
        )


class WebhooksInvalidHttpHeaders(NotificationFailed):
    """Write the endpoint's authvalue as ``<settings><setting name="..." value="..." /></settings>``."""

    code = 0x80050203


class WebhooksInvalidHttpQueryParams(NotificationFailed):
    """Write the endpoint's authvalue as ``<settings><setting name="..." value="..." /></settings>``."""

    code = 0x80050204


class WebhooksPostRequestFailed(NotificationFailed):
    """The endpoint could not be reached, or the notification could not be written."""

    code = 0x80050205

    @classmethod
    def of(cls, endpoint: str, why: str) -> WebhooksPostRequestFailed:
        return cls(f"The webhook call failed during http post. {endpoint}: {why}")


class WebhooksMaxSizeExceeded(NotificationFailed):
    """The notification is too long to be sent."""

    code = 0x80050207


class ServiceBusMaxSizeExceeded(NotificationFailed):
    """The notification is too long to be sent."""

    code = 0x80050208


class ServiceBusPostFailed(NotificationFailed):
    """Service Bus refused the message, and a retry would not help."""

    code = 0x80044175


class ServiceBusPostPostponed(NotificationFailed):
    """Service Bus cannot be reached. The system job is retried later."""

    code = 0x80044179
    status = OperationStatus.RETRY
