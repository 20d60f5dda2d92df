"""The environment's proxies and certificate authorities are honoured where they are wanted, and nowhere else."""

from __future__ import annotations

import pytest

from dataverse_client.sessions import session_to

AWAY = "https://contoso.crm.dynamics.com"
PROXY = "http://proxy.contoso.com:3128"


@pytest.fixture(autouse=True)
def _behind_a_proxy(monkeypatch):
    for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy", "http_proxy", "https_proxy", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "authorities.pem")


def test_what_is_away_is_reached_through_the_proxy():
    session = session_to(AWAY, trust_env=True)
    assert session.proxies["https"] == PROXY
    assert session.verify == "authorities.pem"


def test_a_host_in_no_proxy_is_reached_without_the_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "dynamics.com")
    assert session_to(AWAY, trust_env=True).proxies == {}


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "169.254.169.254"])
def test_what_is_near_is_reached_directly_and_trusted_by_the_same_authorities(host):
    session = session_to(f"https://{host}:5555", trust_env=True)
    assert session.proxies == {}
    assert session.verify == "authorities.pem"


def test_the_environment_is_not_asked_unless_it_is_trusted():
    session = session_to(AWAY)
    assert (session.proxies, session.verify) == ({}, True)


def test_no_netrc_file_puts_a_password_in_the_place_of_a_token():
    assert session_to(AWAY, trust_env=True).trust_env is False
