"""Pages of other origins: asked before, and answered so that the page may read it."""

from __future__ import annotations

import pytest

PAGE = "https://app.example"
ASKED = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "PATCH",
    "Access-Control-Request-Headers": "authorization,if-match,odata-version",
}
ACCOUNTS = "/api/data/v9.2/accounts"


def test_a_browser_that_asks_first_is_told_what_it_may_send(http):
    answer = http("OPTIONS", ACCOUNTS, headers=ASKED)
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert answer.headers["Access-Control-Allow-Headers"] == ASKED["Access-Control-Request-Headers"]
    assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]


def test_a_page_with_a_token_reads_the_answer_and_its_headers(http):
    sent = {"Authorization": f"Bearer {http.token()}", "Origin": PAGE}
    answer = http("POST", ACCOUNTS, json={"name": "A"}, headers=sent)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (204, PAGE)
    assert "OData-EntityId" in answer.headers["Access-Control-Expose-Headers"]
    assert "x-ms-chunk-size" in answer.headers["Access-Control-Expose-Headers"]


def test_a_page_without_a_token_is_told_so(http):
    answer = http("GET", ACCOUNTS, headers={"Origin": PAGE})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (401, PAGE)


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_who_is_no_page_is_told_nothing_of_origins(http, method):
    assert not [name for name in http(method, ACCOUNTS).headers if name.startswith("Access-Control")]
