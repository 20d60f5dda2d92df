"""Who is let in, as whom, and where tokens come from."""

from __future__ import annotations

from base64 import b64encode
from datetime import timedelta

import pytest

from runner.emulator.seed import ADMINISTRATOR_ID, INTEGRATION_USER_ID
from runner.web.dataverse.authentication import Doorkeeper, Unauthorized
from runner.web.dataverse.tokens import LIFETIME, TokenExpired, TokenIssuer

APPLICATION = "11111111-2222-3333-4444-555555555555"
GRANT = {
    "grant_type": "client_credentials",
    "client_id": APPLICATION,
    "client_secret": "any",
    "scope": "https://localhost/.default",
}
TOKEN_ENDPOINT = "/contoso.example/oauth2/v2.0/token"


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_on_this_machine_the_caller_is_the_administrator(http):
    assert http.who_am_i().json()["UserId"] == ADMINISTRATOR_ID


def test_any_token_will_do_on_this_machine(http):
    assert http.who_am_i(**bearer("eyJ0eXAiOiJKV1QifQ.e30.c2ln")).json()["UserId"] == ADMINISTRATOR_ID


def test_a_token_of_the_endpoint_makes_the_caller_that_application(http):
    token = http.token(APPLICATION)
    user_id = http.who_am_i(**bearer(token)).json()["UserId"]
    user = http.get(f"/api/data/v9.2/systemusers({user_id})?$select=applicationid,accessmode").json()
    assert (user["applicationid"], user["accessmode"]) == (APPLICATION, 4)


def test_an_application_has_one_user_however_often_it_asks(http):
    users = {http.who_am_i(**bearer(http.token(APPLICATION))).json()["UserId"] for _ in range(3)}
    assert len(users) == 1


def test_an_application_user_that_is_there_already_is_taken(http):
    row = http.get(f"/api/data/v9.2/systemusers({INTEGRATION_USER_ID})?$select=applicationid").json()
    token = http.token(row["applicationid"])
    assert http.who_am_i(**bearer(token)).json()["UserId"] == INTEGRATION_USER_ID


def test_a_token_expires_also_on_this_machine(http, clock):
    token = http.token()
    clock.advance(LIFETIME)
    answer = http.who_am_i(**bearer(token))
    assert answer.status_code == 401
    assert "expired" in answer.json()["error"]["message"]


def test_without_a_token_the_challenge_says_where_to_get_one(site):
    http = site(require_token=True)
    answer = http.who_am_i()
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith(f"Bearer authorization_uri={http.url}/common/oauth2/")
    assert http.who_am_i(**bearer(http.token())).status_code == 200


@pytest.mark.parametrize(
    ("client", "headers"),
    [
        ("10.1.2.3", {"host": "localhost:5555"}),
        ("", {"host": "localhost:5555"}),
        ("127.0.0.1", {"host": "rebound.example"}),
        ("127.0.0.1", {"host": "localhost", "origin": "https://evil.example"}),
        ("127.0.0.1", {"host": "localhost", "origin": "null"}),
        ("127.0.0.1", {"host": "["}),
    ],
    ids=["another machine", "nobody knows", "rebound name", "foreign page", "page without origin", "no host at all"],
)
def test_what_is_not_surely_of_this_machine_needs_a_token_of_ours(clock, client, headers):
    tokens = TokenIssuer(clock)
    door = Doorkeeper(tokens)
    for foreign in ({}, {"authorization": "Bearer foreign"}, {"authorization": "Basic YTpi"}):
        with pytest.raises(Unauthorized, match="token"):
            door.admit(client, {**headers, **foreign})
    ours = {"authorization": f"bearer {tokens.issue(APPLICATION)}"}
    assert door.admit(client, {**headers, **ours}) == APPLICATION


def test_a_request_that_a_proxy_here_forwards_from_elsewhere_needs_a_token(http):
    assert http.who_am_i(X_Forwarded_For="203.0.113.9").status_code == 401
    assert http.who_am_i(X_Forwarded_For="203.0.113.9", **bearer(http.token())).status_code == 200


def test_a_page_served_on_this_machine_is_let_in(clock):
    headers = {"host": "localhost:5555", "origin": "http://localhost:3000"}
    assert Doorkeeper(TokenIssuer(clock)).admit("127.0.0.1", headers) is None


def test_a_token_changed_by_one_bit_is_nobodys(clock):
    token = TokenIssuer(clock).issue(APPLICATION)
    for position in range(0, len(token), 7):
        changed = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        assert TokenIssuer(clock).user_of(changed) is None


def test_a_token_is_good_until_its_last_second(clock):
    issuer = TokenIssuer(clock, timedelta(seconds=10))
    token = issuer.issue(APPLICATION)
    clock.advance(timedelta(seconds=9))
    assert issuer.user_of(token) == APPLICATION
    clock.advance(timedelta(seconds=1))
    with pytest.raises(TokenExpired):
        issuer.user_of(token)


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"client_id": "me"}, 400, "unauthorized_client"),
        ({"client_secret": ""}, 401, "invalid_client"),
        ({"scope": None}, 400, "invalid_request"),
    ],
)
def test_a_token_request_that_entra_would_refuse_is_refused(http, change, status, error):
    answer = http("POST", TOKEN_ENDPOINT, data={**GRANT, **change})
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.json()["error_description"].startswith(f"AADSTS{answer.json()['error_codes'][0]}: ")


@pytest.mark.parametrize("body", [b"\xff" * 10, b"a" * 70_000], ids=["no text", "too much"])
def test_a_token_request_that_is_no_form_is_refused(http, body):
    assert http("POST", TOKEN_ENDPOINT, data=body).json()["error"] == "invalid_request"


def test_credentials_may_come_in_the_header(http):
    form = {"grant_type": "client_credentials", "scope": GRANT["scope"]}
    credentials = b64encode(f"{APPLICATION}:s%3Acret".encode()).decode()
    answer = http("POST", TOKEN_ENDPOINT, data=form, headers={"Authorization": f"Basic {credentials}"})
    assert (answer.status_code, answer.json()["token_type"]) == (200, "Bearer")
    refused = http("POST", TOKEN_ENDPOINT, data=form, headers={"Authorization": "Basic nonsense"})
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")


def test_the_older_endpoint_takes_a_resource(http):
    form = {name: value for name, value in GRANT.items() if name != "scope"} | {"resource": "https://localhost/"}
    assert http("POST", "/contoso.example/oauth2/token", data=form).status_code == 200


def test_a_certificate_is_as_good_as_a_secret(http):
    assertion = {"client_secret": None, "client_assertion": "signed"}
    assert http("POST", TOKEN_ENDPOINT, data={**GRANT, **assertion}).status_code == 200


def test_the_configuration_leads_to_the_token_endpoint(http):
    configuration = http.get("/contoso.example/v2.0/.well-known/openid-configuration").json()
    assert configuration["token_endpoint"] == f"{http.url}{TOKEN_ENDPOINT}"
    instances = http.get("/common/discovery/instance?api-version=1.1").json()
    assert instances["metadata"][0]["aliases"] == [http.url.removeprefix("http://")]
