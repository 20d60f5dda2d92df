"""The parameters a PaymentIntent or a Checkout Session is created with. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plugins.configuration import Collect, CollectionSettings
from plugins.demand import Demand

_LONGEST_PRODUCT_NAME = 250


def creation_parameters(demand: Demand, row_id: str, settings: CollectionSettings) -> dict[str, Any]:
    """The parameters of ``create``, without the correlation id, which :func:`with_metadata` adds."""
    if settings.collect is Collect.CHECKOUT:
        return _session_parameters(demand, row_id, settings)
    return _intent_parameters(demand, settings)


def with_metadata(parameters: Mapping[str, Any], metadata: Mapping[str, str]) -> dict[str, Any]:
    """``parameters`` with this metadata, which a Checkout Session also passes on to its intent."""
    marked = {**parameters, "metadata": dict(metadata)}
    if "payment_intent_data" in parameters:
        marked["payment_intent_data"] = {**parameters["payment_intent_data"], "metadata": dict(metadata)}
    return marked


def _intent_parameters(demand: Demand, settings: CollectionSettings) -> dict[str, Any]:
    """Source: https://docs.stripe.com/api/payment_intents/create"""
    return {
        "amount": demand.amount,
        "currency": demand.currency,
        "metadata": dict(demand.metadata),
        **demand.texts,
        **_capture(settings),
        **(_allowed_methods(settings) or {"automatic_payment_methods": {"enabled": True}}),
    }


def _session_parameters(demand: Demand, row_id: str, settings: CollectionSettings) -> dict[str, Any]:
    """The metadata goes to the intent too, for Checkout does not copy it there.

    Source: https://docs.stripe.com/api/checkout/sessions/create
    """
    product = {"name": demand.texts.get("description", "Payment")[:_LONGEST_PRODUCT_NAME]}
    price = {"currency": demand.currency, "unit_amount": demand.amount, "product_data": product}
    optional = {
        "success_url": settings.success_url,
        "cancel_url": settings.cancel_url,
        "customer_email": demand.texts.get("receipt_email"),
    }
    return {
        "mode": "payment",
        "line_items": [{"quantity": 1, "price_data": price}],
        "payment_intent_data": {"metadata": dict(demand.metadata), **demand.texts, **_capture(settings)},
        "metadata": dict(demand.metadata),
        "client_reference_id": row_id,
        **{name: value for name, value in optional.items() if value},
        **_allowed_methods(settings),
    }


def _capture(settings: CollectionSettings) -> dict[str, Any]:
    return {"capture_method": settings.capture_method.value} if settings.capture_method else {}


def _allowed_methods(settings: CollectionSettings) -> dict[str, Any]:
    allowed = settings.allowed_payment_method_types
    return {"allowed_payment_method_types": list(allowed)} if allowed else {}
