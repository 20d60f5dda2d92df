"""The endpoints: which request does what, and which of the SDK's parameter types it takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runner.stripe_simulator import disputes, events, payment_intents, payment_methods, refunds
from runner.stripe_simulator.account import Account
from runner.stripe_simulator.errors import JSON, StripeRefusal
from runner.stripe_simulator.limits import check_texts
from runner.stripe_simulator.listing import page


def _no_limits(params: JSON) -> None:
    """Nothing to check beyond the types."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``perform(account, params, *ids)`` answers; ``params_type`` and ``check`` refuse before it begins."""

    method: str
    path: str
    params_type: str
    perform: Callable[..., JSON]
    check: Callable[[JSON], None] = _no_limits


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint, and the ids the request's path holds."""

    endpoint: Endpoint
    ids: tuple[str, ...]


def _retrieve(kind: str, param: str = "id") -> Callable[..., JSON]:
    return lambda account, params, resource_id: account.find(kind, resource_id, param)


def _list(kind: str, path: str, *filters: str) -> Callable[..., JSON]:
    """Those that agree with each of ``filters`` that is given."""

    def perform(account: Account, params: JSON) -> JSON:
        wanted = {name: params[name] for name in filters if name in params}
        return page([r for r in account.all(kind) if wanted.items() <= r.items()], params, path)

    return perform


def _resource(kind: str, path: str, sdk_name: str, *filters: str) -> list[Endpoint]:
    """What every kind of object has: retrieve and list."""
    return [
        Endpoint("get", f"{path}/{{id}}", f"{sdk_name}RetrieveParams", _retrieve(kind)),
        Endpoint("get", path, f"{sdk_name}ListParams", _list(kind, path, *filters)),
    ]


_INTENTS, _REFUNDS, _DISPUTES = "/v1/payment_intents", "/v1/refunds", "/v1/disputes"
_METHODS, _CUSTOMERS = "/v1/payment_methods", "/v1/customers"

ENDPOINTS = [
    Endpoint("post", _INTENTS, "PaymentIntentCreateParams", payment_intents.create, payment_intents.check_create),
    Endpoint("get", f"{_INTENTS}/{{id}}", "PaymentIntentRetrieveParams", _retrieve("payment_intent", "intent")),
    Endpoint("get", _INTENTS, "PaymentIntentListParams", _list("payment_intent", _INTENTS, "customer")),
    Endpoint("post", f"{_INTENTS}/{{id}}", "PaymentIntentUpdateParams", payment_intents.update, check_texts),
    Endpoint("post", f"{_INTENTS}/{{id}}/confirm", "PaymentIntentConfirmParams", payment_intents.confirm),
    Endpoint("post", f"{_INTENTS}/{{id}}/cancel", "PaymentIntentCancelParams", payment_intents.cancel),
    Endpoint("post", f"{_INTENTS}/{{id}}/capture", "PaymentIntentCaptureParams", payment_intents.capture, check_texts),
    Endpoint("post", _REFUNDS, "RefundCreateParams", refunds.create, refunds.check_create),
    Endpoint("post", f"{_REFUNDS}/{{id}}", "RefundUpdateParams", refunds.update, check_texts),
    Endpoint("post", f"{_REFUNDS}/{{id}}/cancel", "RefundCancelParams", refunds.cancel),
    *_resource("refund", _REFUNDS, "Refund", "charge", "payment_intent"),
    *_resource("charge", "/v1/charges", "Charge", "customer", "payment_intent"),
    Endpoint("post", f"{_DISPUTES}/{{id}}", "DisputeUpdateParams", disputes.update, check_texts),
    Endpoint("post", f"{_DISPUTES}/{{id}}/close", "DisputeCloseParams", disputes.close),
    *_resource("dispute", _DISPUTES, "Dispute", "charge", "payment_intent"),
    Endpoint("get", "/v1/events", "EventListParams", events.list_events, events.check_list),
    Endpoint("get", "/v1/events/{id}", "EventRetrieveParams", _retrieve("event")),
    Endpoint("post", _METHODS, "PaymentMethodCreateParams", payment_methods.create),
    Endpoint("get", f"{_METHODS}/{{id}}", "PaymentMethodRetrieveParams", payment_methods.retrieve),
    Endpoint("post", f"{_METHODS}/{{id}}/attach", "PaymentMethodAttachParams", payment_methods.attach),
    Endpoint("post", _CUSTOMERS, "CustomerCreateParams", payment_methods.create_customer, check_texts),
    Endpoint("post", f"{_CUSTOMERS}/{{id}}", "CustomerUpdateParams", payment_methods.update_customer, check_texts),
    *_resource("customer", _CUSTOMERS, "Customer", "email"),
    *_resource("balance_transaction", "/v1/balance_transactions", "BalanceTransaction", "source", "type"),
]


def route(method: str, path: str) -> Route:
    """The endpoint for a request.

    Raises:
      StripeRefusal: 404, this API has no such endpoint.
    """
    for endpoint, pattern in _PATTERNS:
        if endpoint.method == method and (found := pattern.fullmatch(path)):
            return Route(endpoint, found.groups())
    raise StripeRefusal(404, f"Unrecognized request URL ({method.upper()}: {path}).")


def _pattern(path: str) -> Any:
    return re.compile(re.sub(r"\{\w+\}", r"([^/]+)", path))


_PATTERNS = [(endpoint, _pattern(endpoint.path)) for endpoint in ENDPOINTS]
