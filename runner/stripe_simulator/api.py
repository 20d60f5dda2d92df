"""Answers API requests, applying Stripe's checks in Stripe's order.

    fault? -> key of the account? -> endpoint? -> parameters? -> idempotency key? -> execute -> save -> answer

A result is saved under the idempotency key, whatever it is, once execution has begun.

Source: https://docs.stripe.com/api
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import orjson
import stripe

from runner.stripe_simulator import deadlines, faults, form
from runner.stripe_simulator.account import Account, Cause
from runner.stripe_simulator.errors import StripeRefusal
from runner.stripe_simulator.expansion import check_expand, expand
from runner.stripe_simulator.faults import Fault, Faults
from runner.stripe_simulator.idempotency import IdempotencyKeys, KeyedRequest, SavedKey, SavedResponse
from runner.stripe_simulator.jsons import JSON, copied
from runner.stripe_simulator.parameters import check, parameter_type
from runner.stripe_simulator.routes import Route, route


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request of the SDK. ``key`` is the idempotency key, which only a POST has."""

    id: str
    method: str
    path: str
    form: str
    authorization: str
    stripe_account: str | None
    key: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """A response. ``replayed`` tells that it is that of an earlier request with the same key."""

    status: int
    body: str
    headers: dict[str, str]
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One line of the request log. ``status`` is None when the connection broke before the response."""

    method: str
    path: str
    status: int | None
    request_id: str
    idempotency_key: str | None
    replayed: bool


class ConnectionReset(Exception):
    """The connection broke, so that the response, if there was one, is lost."""


class Api:
    """Answers requests for one account. Safe to use from several threads."""

    def __init__(self, account: Account, api_key: str, saved_keys: Iterable[SavedKey] = ()) -> None:
        self._account = account
        self._api_key = api_key
        self._keys = IdempotencyKeys(account.clock, saved_keys)
        self.faults = Faults()
        self.log: list[RequestRecord] = []
        #: Called once each, after the next request with a key is executed and before its response is sent.
        self.in_flight: list[Callable[[], None]] = []

    def answer(self, method: str, url: str, headers: Mapping[str, str], body: str) -> Answer:
        """Answer a request. ``body`` is the form of a POST; other requests have their parameters in ``url``.

        Raises:
          ConnectionReset: a fault asked for it.
        """
        request = _read(self._account.ids.new("req", 14), method, url, headers, body)
        fault = self.faults.take(request.method.upper(), request.path)
        answer = None if fault is Fault.CONNECTION_RESET_BEFORE else self._answer(request, fault)
        if answer is None or fault is Fault.CONNECTION_RESET_AFTER:
            self.log.append(_record(request, None))
            raise ConnectionReset
        self.log.append(_record(request, answer))
        return answer

    def _answer(self, request: Request, fault: Fault | None) -> Answer:
        try:
            if fault in faults.BEFORE_EXECUTION:
                raise faults.refusal(fault)
            _authenticate(request, self._api_key)
            found = route(request.method, request.path)
            params = check(form.decode(request.form), parameter_type(found.endpoint.params_type))
            check_expand(found.endpoint.kind, params.get("expand", ()))
            found.endpoint.check(params)
            return self._execute_once(request, found, params, fault)
        except StripeRefusal as refused:
            return _with_headers(_error_response(refused, request), request)

    def _execute_once(self, request: Request, found: Route, params: JSON, fault: Fault | None) -> Answer:
        if request.key is None:
            return _with_headers(self._execute(request, found, params, fault), request)
        if saved := self._keys.begin(request.key, KeyedRequest(request.path, copied(params))):
            return replace(_with_headers(saved, request), replayed=True)
        try:
            answer = self._execute(request, found, params, fault)
            self._run_in_flight()
        except BaseException:
            self._keys.forget(request.key)
            raise
        self._keys.finish(request.key, answer)
        return _with_headers(answer, request)

    def _execute(self, request: Request, found: Route, params: JSON, fault: Fault | None) -> SavedResponse:
        with self._account.acting(Cause(request.id, request.key)):
            saved = self._perform(request, found, params, fault)
            if request.key is not None:
                self._account.save_key(self._keys.saved(request.key, saved))
            return saved

    def _perform(self, request: Request, found: Route, params: JSON, fault: Fault | None) -> SavedResponse:
        try:
            if fault in faults.WHILE_EXECUTING:
                raise faults.refusal(fault)
            deadlines.meet(self._account)
            answer = copied(found.endpoint.perform(self._account, params, *found.ids))
            expand(self._account, answer, params.get("expand", ()))
            return SavedResponse(200, orjson.dumps(answer).decode(), request.id)
        except StripeRefusal as refused:
            return _error_response(refused, request)

    def _run_in_flight(self) -> None:
        waiting, self.in_flight = self.in_flight, []
        for action in waiting:
            action()


def _read(request_id: str, method: str, url: str, headers: Mapping[str, str], body: str) -> Request:
    known = {name.lower(): value for name, value in headers.items()}
    parts = urlsplit(url)
    return Request(
        id=request_id,
        method=method.lower(),
        path=parts.path,
        form=body if method.lower() == "post" else parts.query,
        authorization=known.get("authorization", ""),
        stripe_account=known.get("stripe-account"),
        key=known.get("idempotency-key") if method.lower() == "post" else None,
    )


def _authenticate(request: Request, api_key: str) -> None:
    """Source: https://docs.stripe.com/api/authentication"""
    given = _key_in(request.authorization)
    if "_live_" in given:
        message = "The simulator holds no live data and refuses live keys. Use its own test key."
        raise StripeRefusal(401, message)
    if given != api_key:
        raise StripeRefusal(401, f"Invalid API Key provided: {given[:8]}{'*' * 8}")
    if request.stripe_account:
        message = f"The provided key does not have access to account '{request.stripe_account}'."
        raise StripeRefusal(403, message, code="account_invalid")


def _key_in(authorization: str) -> str:
    """The key, as a bearer token or, as ``curl -u`` sends it, as a user without a password."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        return value or authorization
    try:
        return b64decode(value, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _error_response(refused: StripeRefusal, request: Request) -> SavedResponse:
    error = {**refused.error, "request_log_url": f"https://dashboard.stripe.com/test/logs/{request.id}"}
    return SavedResponse(refused.status, orjson.dumps({"error": error}).decode(), request.id)


def _with_headers(saved: SavedResponse, request: Request) -> Answer:
    headers = {
        "content-type": "application/json",
        "request-id": request.id,
        "stripe-version": stripe.api_version,
    }
    if request.key is not None:
        headers |= {"idempotency-key": request.key, "original-request": saved.request_id}
    if saved.request_id != request.id:
        headers["idempotent-replayed"] = "true"
    if saved.status == 500:
        # A retry with the same key would only replay the response.
        headers["stripe-should-retry"] = "false"
    elif saved.status == 429:
        headers["stripe-should-retry"] = "true" if "lock_timeout" in saved.body else "false"
    return Answer(saved.status, saved.body, headers)


def _record(request: Request, answer: Answer | None) -> RequestRecord:
    return RequestRecord(
        request.method,
        request.path,
        answer.status if answer else None,
        request.id,
        request.key,
        answer.replayed if answer else False,
    )
