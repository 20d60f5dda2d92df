"""The endpoints: their paths, functions, and parameter types in the SDK."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runner.stripe_simulator import (
    checkout,
    disputes,
    events,
    merchant,
    payment_intents,
    payment_methods,
    refunds,
    search,
)
from runner.stripe_simulator.account import Account
from runner.stripe_simulator.errors import StripeRefusal
from runner.stripe_simulator.jsons import JSON
from runner.stripe_simulator.limits import check_texts
from runner.stripe_simulator.listing import page


def _no_limits(params: JSON) -> None:
    """Check nothing beyond the types."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint. ``perform(account, params, *ids)`` returns an object of that ``kind``, or a list of them.

    Parameters are checked by ``params_type`` (a type of the SDK) and ``check`` before anything is executed.
    """

    method: str
    path: str
    kind: str
    params_type: str
    perform: Callable[..., JSON]
    check: Callable[[JSON], None] = _no_limits


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint, and the ids in the request's path."""

    endpoint: Endpoint
    ids: tuple[str, ...]


def _retrieve(kind: str, param: str = "id") -> Callable[..., JSON]:
    return lambda account, params, resource_id: account.find(kind, resource_id, param)


def _list(kind: str, path: str, *filters: str) -> Callable[..., JSON]:
    """A function that lists the objects that match those of ``filters`` that the request has."""

    def perform(account: Account, params: JSON) -> JSON:
        wanted = {name: params[name] for name in filters if name in params}
        return page([r for r in account.all(kind) if wanted.items() <= r.items()], params, path)

    return perform


def _readable(kind: str, path: str, sdk_name: str, *filters: str, param: str = "id") -> list[Endpoint]:
    """The endpoints of every kind of object: retrieve and list."""
    return [
        Endpoint("get", f"{path}/{{id}}", kind, f"{sdk_name}RetrieveParams", _retrieve(kind, param)),
        Endpoint("get", path, kind, f"{sdk_name}ListParams", _list(kind, path, *filters)),
    ]


def _payment_intents() -> list[Endpoint]:
    path, kind, sdk = "/v1/payment_intents", "payment_intent", "PaymentIntent"
    return [
        Endpoint("get", f"{path}/search", kind, f"{sdk}SearchParams", search.search_intents),
        Endpoint("post", path, kind, f"{sdk}CreateParams", payment_intents.create, payment_intents.check_create),
        Endpoint("post", f"{path}/{{id}}", kind, f"{sdk}UpdateParams", payment_intents.update, check_texts),
        Endpoint("post", f"{path}/{{id}}/confirm", kind, f"{sdk}ConfirmParams", payment_intents.confirm),
        Endpoint("post", f"{path}/{{id}}/cancel", kind, f"{sdk}CancelParams", payment_intents.cancel),
        Endpoint("post", f"{path}/{{id}}/capture", kind, f"{sdk}CaptureParams", payment_intents.capture, check_texts),
        *_readable(kind, path, sdk, "customer", param="intent"),
    ]


def _money_back() -> list[Endpoint]:
    refund, dispute = "/v1/refunds", "/v1/disputes"
    return [
        *_readable("charge", "/v1/charges", "Charge", "customer", "payment_intent", param="charge"),
        Endpoint("post", refund, "refund", "RefundCreateParams", refunds.create, refunds.check_create),
        Endpoint("post", f"{refund}/{{id}}", "refund", "RefundUpdateParams", refunds.update, check_texts),
        Endpoint("post", f"{refund}/{{id}}/cancel", "refund", "RefundCancelParams", refunds.cancel),
        *_readable("refund", refund, "Refund", "charge", "payment_intent"),
        Endpoint("post", f"{dispute}/{{id}}", "dispute", "DisputeUpdateParams", disputes.update, check_texts),
        Endpoint("post", f"{dispute}/{{id}}/close", "dispute", "DisputeCloseParams", disputes.close),
        *_readable("dispute", dispute, "Dispute", "charge", "payment_intent"),
    ]


def _checkout() -> list[Endpoint]:
    path, kind, sdk = "/v1/checkout/sessions", "checkout.session", "checkout.Session"
    return [
        Endpoint("post", path, kind, f"{sdk}CreateParams", checkout.create, checkout.check_create),
        Endpoint("post", f"{path}/{{id}}", kind, f"{sdk}UpdateParams", checkout.update, checkout.check_update),
        Endpoint("post", f"{path}/{{id}}/expire", kind, f"{sdk}ExpireParams", checkout.expire),
        Endpoint("get", f"{path}/{{id}}/line_items", "item", f"{sdk}LineItemListParams", checkout.line_items),
        *_readable(kind, path, sdk, "customer", "payment_intent", "status", param="session"),
    ]


def _customers() -> list[Endpoint]:
    method, customer, methods = "/v1/payment_methods", "/v1/customers", payment_methods
    return [
        Endpoint("post", method, "payment_method", "PaymentMethodCreateParams", methods.create),
        Endpoint("get", f"{method}/{{id}}", "payment_method", "PaymentMethodRetrieveParams", methods.retrieve),
        Endpoint("post", f"{method}/{{id}}/attach", "payment_method", "PaymentMethodAttachParams", methods.attach),
        Endpoint("post", customer, "customer", "CustomerCreateParams", methods.create_customer, check_texts),
        Endpoint(
            "post", f"{customer}/{{id}}", "customer", "CustomerUpdateParams", methods.update_customer, check_texts
        ),
        *_readable("customer", customer, "Customer", "email"),
    ]


def _merchant() -> list[Endpoint]:
    path, kind, sdk = "/v1/webhook_endpoints", "webhook_endpoint", "WebhookEndpoint"
    return [
        Endpoint("get", "/v1/account", "account", "AccountRetrieveCurrentParams", merchant.retrieve_account),
        Endpoint("get", "/v1/balance", "balance", "BalanceRetrieveParams", merchant.retrieve_balance),
        *_readable("balance_transaction", "/v1/balance_transactions", "BalanceTransaction", "source", "type"),
        Endpoint("get", "/v1/events", "event", "EventListParams", events.list_events, events.check_list),
        Endpoint("get", "/v1/events/{id}", "event", "EventRetrieveParams", _retrieve("event")),
        Endpoint("post", path, kind, f"{sdk}CreateParams", merchant.create_endpoint, check_texts),
        Endpoint("post", f"{path}/{{id}}", kind, f"{sdk}UpdateParams", merchant.update_endpoint, check_texts),
        Endpoint("delete", f"{path}/{{id}}", kind, f"{sdk}DeleteParams", merchant.delete_endpoint),
        *_readable(kind, path, sdk, param="webhook_endpoint"),
    ]


ENDPOINTS = [*_payment_intents(), *_money_back(), *_checkout(), *_customers(), *_merchant()]


def route(method: str, path: str) -> Route:
    """The endpoint for a request.

    Raises:
      StripeRefusal: 404, there is no such endpoint.
    """
    for endpoint, pattern in _PATTERNS:
        if endpoint.method == method and (found := pattern.fullmatch(path)):
            return Route(endpoint, found.groups())
    raise StripeRefusal(404, f"Unrecognized request URL ({method.upper()}: {path}).")


def _pattern(path: str) -> Any:
    return re.compile(re.sub(r"\{\w+\}", r"([^/]+)", path))


_PATTERNS = [(endpoint, _pattern(endpoint.path)) for endpoint in ENDPOINTS]
