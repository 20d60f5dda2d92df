"""The endpoints of payment methods and customers.

Using a test payment method creates a new payment method that behaves like it.

Source: https://docs.stripe.com/testing
"""

from __future__ import annotations

from runner.stripe_simulator import objects
from runner.stripe_simulator.account import Account
from runner.stripe_simulator.behaviours import TEST_METHODS, Behaviour
from runner.stripe_simulator.errors import StripeRefusal, invalid, missing_resource
from runner.stripe_simulator.jsons import JSON
from runner.stripe_simulator.limits import merge_metadata

_CUSTOMER_FIELDS = ["address", "description", "email", "name", "phone", "shipping"]


def resolve(account: Account, name: str, param: str = "payment_method") -> JSON:
    """The payment method with the id ``name``, or a new one for a test method.

    Raises:
      StripeRefusal: 404, there is no such payment method.
    """
    if name in TEST_METHODS:
        return _make(account, TEST_METHODS[name])
    try:
        return account.find("payment_method", name)
    except StripeRefusal:
        raise missing_resource("PaymentMethod", name, param) from None


def from_data(account: Account, data: JSON) -> JSON:
    """Create a payment method from a card token or a US bank account. Card numbers are refused."""
    token = data.get("card", {}).get("token", "")
    name = "pm_usBankAccount_success" if data["type"] == "us_bank_account" else token.replace("tok_", "pm_card_", 1)
    if name not in TEST_METHODS:
        message = "The simulator does not accept details of this type. Use a test payment method such as pm_card_visa."
        raise invalid(message, param="type")
    method = _make(account, TEST_METHODS[name])
    method["billing_details"] = method["billing_details"] | data.get("billing_details", {})
    method["metadata"] = merge_metadata({}, data.get("metadata"))
    return method


def _make(account: Account, behaviour: Behaviour) -> JSON:
    method = account.add(objects.payment_method(account, behaviour))
    account.hidden(method["id"])["behaviour"] = behaviour.id
    return method


def behaviour_of(account: Account, method_id: str) -> Behaviour:
    """The behaviour of the test method that a payment method was created from."""
    return TEST_METHODS[account.hidden(method_id)["behaviour"]]


def create(account: Account, params: JSON) -> JSON:
    return from_data(account, params)


def retrieve(account: Account, params: JSON, method_id: str) -> JSON:
    return resolve(account, method_id)


def attach(account: Account, params: JSON, method_id: str) -> JSON:
    """Attach a payment method to a customer, so that it can be used more than once."""
    customer = account.find("customer", params["customer"], "customer")
    method = resolve(account, method_id)
    _attach(account, method, customer)
    return method


def create_customer(account: Account, params: JSON) -> JSON:
    customer = objects.customer(account)
    _write_customer(customer, params)
    method = resolve(account, params["payment_method"]) if "payment_method" in params else None
    account.emit("customer.created", account.add(customer))
    if method:
        _attach(account, method, customer)
    return customer


def update_customer(account: Account, params: JSON, customer_id: str) -> JSON:
    customer = account.find("customer", customer_id)
    before = dict(customer)
    _write_customer(customer, params)
    account.emit("customer.updated", customer, before)
    return customer


def _attach(account: Account, method: JSON, customer: JSON) -> None:
    method["customer"] = customer["id"]
    account.emit("payment_method.attached", method)


def _write_customer(customer: JSON, params: JSON) -> None:
    customer |= {name: params[name] or None for name in _CUSTOMER_FIELDS if name in params}
    customer["metadata"] = merge_metadata(customer["metadata"], params.get("metadata"))
