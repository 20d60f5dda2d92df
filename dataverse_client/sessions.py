"""Requests sessions that read proxies and certificate authorities from the environment once, not per request.

Source: https://requests.readthedocs.io/en/latest/user/advanced/#proxies
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

import requests

#: Added to errors about a server's certificate that is not trusted.
TRUST_ADVICE = "If it is one of your own, name the file of its authority in REQUESTS_CA_BUNDLE."


def session_to(url: str, *, trust_env: bool = False) -> requests.Session:
    """A session for requests to the host of ``url``.

    With ``trust_env`` it honours ``HTTPS_PROXY``, ``NO_PROXY`` and ``REQUESTS_CA_BUNDLE``, but never a .netrc file,
    whose password would replace our tokens. Addresses of this machine are always reached without a proxy.
    """
    session = requests.Session()
    session.trust_env = False
    if trust_env:
        with requests.Session() as asked:
            found = asked.merge_environment_settings(url, {}, None, None, None)
        session.verify = found["verify"]
        session.proxies = {} if _is_near(urlsplit(url).hostname or "") else dict(found["proxies"])
    return session


def _is_near(host: str) -> bool:
    """Whether the host is this machine (loopback), or one of Azure's identity endpoints (link-local)."""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_link_local
