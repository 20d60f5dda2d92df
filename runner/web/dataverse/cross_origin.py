"""Cross-origin requests: pages may call the Web API with a token, as in Dataverse.

Source: https://fetch.spec.whatwg.org/#http-cors-protocol
Source: https://learn.microsoft.com/power-apps/developer/data-platform/oauth-cross-origin-resource-sharing-connect-single-page-application
"""

from __future__ import annotations

from collections.abc import Mapping

from runner.emulator.webapi import Response

_METHODS = "GET, POST, PUT, PATCH, DELETE"
#: Beyond those every page may read.
_EXPOSED = (
    "OData-EntityId, OData-Version, Preference-Applied, ETag, Location, Retry-After, REQ_ID, x-ms-service-request-id, "
    "x-ms-chunk-size, x-ms-file-size, x-ms-file-name, mimetype"
)
_SECONDS_KEPT = "3600"


def preflight(method: str, headers: Mapping[str, str]) -> Response | None:
    """The answer to a browser that asks before it sends; None when it does not."""
    if method != "OPTIONS" or "origin" not in headers or "access-control-request-method" not in headers:
        return None
    asked = headers.get("access-control-request-headers", "")
    allowed = {"Access-Control-Allow-Methods": _METHODS, "Access-Control-Max-Age": _SECONDS_KEPT}
    return Response(204, {**allowed, "Access-Control-Allow-Headers": asked, **_of(headers)})


def shared(response: Response, headers: Mapping[str, str]) -> Response:
    """The response, which the page that sent the request may read."""
    if "origin" not in headers:
        return response
    exposed = {"Access-Control-Expose-Headers": _EXPOSED, **_of(headers)}
    return Response(response.status, {**response.headers, **exposed}, response.body)


def _of(headers: Mapping[str, str]) -> dict[str, str]:
    return {"Access-Control-Allow-Origin": headers["origin"], "Vary": "Origin"}
