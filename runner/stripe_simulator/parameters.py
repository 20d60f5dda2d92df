"""Checks request parameters as strictly as Stripe does.

The parameters of each endpoint come from the types in the installed SDK, which are generated for its API version:
names, nested and required ones, integers, booleans and choices.

Source: https://docs.stripe.com/api/errors
"""

from __future__ import annotations

import sys
import types
from decimal import Decimal
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import stripe.params
import stripe.params.checkout
from stripe import RequestOptions
from typing_extensions import is_typeddict

from runner.stripe_simulator.errors import StripeRefusal, invalid, missing_param
from runner.stripe_simulator.jsons import JSON


def parameter_type(name: str) -> type:
    """The SDK's type of that name, such as ``PaymentIntentCreateParams`` or ``checkout.SessionCreateParams``."""
    found: Any = stripe.params
    for part in name.split("."):
        found = getattr(found, part)
    return found  # type: ignore[no-any-return]


def check(params: JSON, declared: type) -> JSON:
    """Check parameters, and convert integers, booleans and lists to their types. Other values stay text.

    Raises:
      StripeRefusal: a parameter is unknown, missing, empty or malformed.
    """
    return _hash(params, declared, path="")


@cache
def _declared(params_type: type) -> dict[str, Any]:
    """The type hints by parameter, without the SDK's own options such as the API key."""
    own = {n: t for n, t in params_type.__annotations__.items() if n not in RequestOptions.__annotations__}
    return get_type_hints(
        types.SimpleNamespace(__annotations__=own), globalns=vars(sys.modules[params_type.__module__])
    )


def _hash(params: JSON, declared: type, path: str) -> JSON:
    known = _declared(declared)
    for name in params:
        if name not in known:
            raise _unknown(_join(path, name), name)
    for name in known:
        if name in declared.__required_keys__ and name not in params:  # type: ignore[attr-defined]
            raise missing_param(_join(path, name))
    return {name: _value(value, known[name], _join(path, name)) for name, value in params.items()}


def _value(value: Any, hint: Any, path: str) -> Any:
    alternatives = _alternatives(hint)
    if isinstance(value, dict):
        return _nested(value, alternatives, path)
    if value == "":
        return _unset(alternatives, path)
    return _scalar(value, alternatives, path)


def _alternatives(hint: Any) -> list[Any]:
    """The alternatives of a hint: ``["a", "b", str]`` for ``Literal["a", "b"] | str``."""
    if get_origin(hint) in (Union, types.UnionType):
        return [found for part in get_args(hint) for found in _alternatives(part)]
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    return [hint]


def _nested(value: JSON, alternatives: list[Any], path: str) -> Any:
    for alternative in alternatives:
        if is_typeddict(alternative):
            return _hash(value, alternative, path)
        if get_origin(alternative) is dict:
            return _texts(value, path)
        if get_origin(alternative) is list:
            return _list(value, get_args(alternative)[0], path)
    raise invalid(f"Invalid string: {path} cannot be a hash.", param=path)


def _texts(value: JSON, path: str) -> JSON:
    for name, text in value.items():
        if not isinstance(text, str):
            raise invalid(f"Invalid string: {path}[{name}] cannot be a hash.", param=f"{path}[{name}]")
    return value


def _list(value: JSON, hint: Any, path: str) -> list[Any]:
    if not all(index.isdigit() for index in value):
        raise invalid("Invalid array", param=path)
    return [_value(value[index], hint, f"{path}[{index}]") for index in sorted(value, key=int)]


def _unset(alternatives: list[Any], path: str) -> str:
    if "" in alternatives:
        return ""
    raise invalid(
        f"You passed an empty string for '{path}'. We assume empty values are an attempt to unset a field; however "
        f"'{path}' cannot be unset. You should remove '{path}' from your request or supply a non-empty value.",
        code="parameter_invalid_empty",
        param=path,
    )


def _scalar(text: str, alternatives: list[Any], path: str) -> Any:
    choices = [choice for choice in alternatives if isinstance(choice, str) and choice]
    if text in choices:
        return text
    if int in alternatives:
        return _integer(text, path)
    if bool in alternatives:
        return _boolean(text, path)
    if choices:
        raise invalid(f"Invalid {path}: must be one of {_enumerated(choices)}", param=path)
    if str in alternatives or Decimal in alternatives:
        return text
    raise invalid("Invalid array" if get_origin(alternatives[-1]) is list else "Invalid object", param=path)


def _integer(text: str, path: str) -> int:
    if text.removeprefix("-").isascii() and text.removeprefix("-").isdigit():
        return int(text)
    raise invalid(f"Invalid integer: {text}", code="parameter_invalid_integer", param=path)


def _boolean(text: str, path: str) -> bool:
    if text in ("true", "false"):
        return text == "true"
    raise invalid(f"Invalid boolean: {text}", param=path)


def _enumerated(choices: list[str]) -> str:
    return choices[0] if len(choices) == 1 else f"{', '.join(choices[:-1])}, or {choices[-1]}"


def _join(path: str, name: str) -> str:
    return f"{path}[{name}]" if path else name


def _unknown(path: str, name: str) -> StripeRefusal:
    """Source: https://docs.stripe.com/changelog/endive/2026-09-30/removes-the-payment-method-types-parameter-from-payment-intents-and-setup-intents"""
    if name == "payment_method_types":
        return invalid(
            "`payment_method_types` is no longer supported in this API version. Use `automatic_payment_methods`, "
            "`allowed_payment_method_types` or `excluded_payment_method_types` instead.",
            code="payment_method_types_no_longer_supported",
            param=path,
        )
    return invalid(f"Received unknown parameter: {path}", code="parameter_unknown", param=path)
