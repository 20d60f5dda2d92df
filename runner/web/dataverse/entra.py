"""A token endpoint with as much of Microsoft Entra as MSAL's client credentials flow needs. It accepts any secret.

Source: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
"""

from __future__ import annotations

from base64 import b64decode
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from dataverse_client.types import guid, is_guid, new_guid
from runner.web.dataverse.application_users import ApplicationUsers
from runner.web.dataverse.tokens import TokenIssuer

_MAX_FORM = 64 * 1024
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class TokenRefused(Exception):
    """The error, its number and its words as Entra gives them."""

    def __init__(self, error: str, number: int, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error, self.number, self.status = error, number, status


class Entra:
    """The token endpoint and the two documents that lead to it."""

    def __init__(self, users: ApplicationUsers, tokens: TokenIssuer) -> None:
        self._users = users
        self._tokens = tokens

    def routes(self) -> list[Route]:
        return [
            Route("/{tenant}/oauth2/v2.0/token", self._token, methods=["POST"]),
            Route("/{tenant}/oauth2/token", self._token, methods=["POST"]),
            Route("/{tenant}/v2.0/.well-known/openid-configuration", _configuration),
            Route("/common/discovery/instance", _instances),
        ]

    async def _token(self, request: Request) -> JSONResponse:
        try:
            application_id = application_of({**_basic(request), **await _form(request)})
        except TokenRefused as refusal:
            return _refusal(refusal)
        user_id = await run_in_threadpool(self._users.of, application_id)
        seconds = int(self._tokens.lifetime.total_seconds())
        answer = {"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds}
        return JSONResponse({**answer, "access_token": self._tokens.issue(user_id)}, headers=_NO_STORE)


def application_of(form: dict[str, str]) -> str:
    """The application a token request names, as a lower-case GUID. Raises TokenRefused."""
    if form.get("grant_type") != "client_credentials":
        message = f"The grant type '{form.get('grant_type', '')}' is not supported here; use 'client_credentials'."
        raise TokenRefused("unsupported_grant_type", 70003, message)
    if not is_guid(form.get("client_id", "")):
        message = f"Application with identifier '{form.get('client_id', '')}' was not found: a GUID is expected."
        raise TokenRefused("unauthorized_client", 700016, message)
    if not (form.get("client_secret") or form.get("client_assertion")):
        message = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
        raise TokenRefused("invalid_client", 7000218, message, status=401)
    # The older endpoint takes the resource itself.
    if "scope" not in form and "resource" not in form:
        message = "The request body must contain the following parameter: 'scope'."
        raise TokenRefused("invalid_request", 900144, message)
    return guid(form["client_id"])


def _basic(request: Request) -> dict[str, str]:
    """The credentials of the Authorization header, where they come there. Raises TokenRefused.

    Source: https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
    """
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return {}
    try:
        id, _, secret = b64decode(credentials, validate=True).decode().partition(":")
    except ValueError:
        raise TokenRefused("invalid_request", 90014, "The Authorization header is no Basic credentials.") from None
    return {"client_id": unquote_plus(id), "client_secret": unquote_plus(secret)}


async def _form(request: Request) -> dict[str, str]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM:
            raise TokenRefused("invalid_request", 90023, "The request body is too large.", status=413)
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=100))
    except ValueError:
        raise TokenRefused("invalid_request", 90014, "The request body must be form-encoded UTF-8.") from None


def _refusal(refusal: TokenRefused) -> JSONResponse:
    body: dict[str, Any] = {
        "error": refusal.error,
        "error_description": f"AADSTS{refusal.number}: {refusal}",
        "error_codes": [refusal.number],
        "correlation_id": new_guid(),
    }
    return JSONResponse(body, refusal.status, headers=_NO_STORE)


async def _configuration(request: Request) -> JSONResponse:
    tenant = f"{str(request.base_url).rstrip('/')}/{request.path_params['tenant']}"
    return JSONResponse(
        {
            "issuer": f"{tenant}/v2.0",
            "authorization_endpoint": f"{tenant}/oauth2/v2.0/authorize",
            "token_endpoint": f"{tenant}/oauth2/v2.0/token",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
            "response_types_supported": ["token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }
    )


async def _instances(request: Request) -> JSONResponse:
    host = request.url.netloc
    endpoint = f"{str(request.base_url).rstrip('/')}/common/v2.0/.well-known/openid-configuration"
    names = {"preferred_network": host, "preferred_cache": host, "aliases": [host]}
    return JSONResponse({"tenant_discovery_endpoint": endpoint, "api-version": "1.1", "metadata": [names]})
