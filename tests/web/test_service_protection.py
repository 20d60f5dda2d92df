"""Service protection limits: per user, in windows that slide with the clock."""

from __future__ import annotations

from datetime import timedelta

import pytest

from runner.web.dataverse.service_protection import (
    ConcurrencyLimitExceeded,
    ExecutionTimeLimitExceeded,
    Limits,
    RequestLimitExceeded,
    ServiceProtection,
)


@pytest.fixture
def protect(clock):
    return lambda **limits: ServiceProtection(Limits(**limits), clock)


def run(protection, clock, *, seconds=0, user="ada"):
    began = protection.admit(user)
    clock.advance(timedelta(seconds=seconds))
    protection.finished(user, began)


def test_the_limits_are_dataverses_unless_told_otherwise():
    assert Limits() == Limits(
        requests=6000, execution_time=timedelta(minutes=20), concurrent=52, window=timedelta(seconds=300)
    )


def test_requests_count_for_a_sliding_window(protect, clock):
    protection = protect(requests=2, window=timedelta(seconds=10))
    run(protection, clock)
    clock.advance(timedelta(seconds=4))
    run(protection, clock)

    with pytest.raises(RequestLimitExceeded) as refusal:
        protection.admit("ada")
    assert refusal.value.retry_after == 6

    clock.advance(timedelta(seconds=6))
    run(protection, clock)
    with pytest.raises(RequestLimitExceeded):
        protection.admit("ada")


def test_a_refused_request_does_not_count(protect, clock):
    protection = protect(requests=1, window=timedelta(seconds=10))
    run(protection, clock)
    for _ in range(5):
        with pytest.raises(RequestLimitExceeded):
            protection.admit("ada")
    clock.advance(timedelta(seconds=10))
    protection.admit("ada")


def test_limits_count_each_user_alone(protect, clock):
    protection = protect(requests=1)
    run(protection, clock, user="ada")
    run(protection, clock, user="bob")


def test_the_time_of_all_requests_is_limited(protect, clock):
    protection = protect(execution_time=timedelta(seconds=5), window=timedelta(seconds=60))
    run(protection, clock, seconds=3)
    run(protection, clock, seconds=3)
    with pytest.raises(ExecutionTimeLimitExceeded, match="limit of 5,000 milliseconds over time window of 60 seconds"):
        protection.admit("ada")
    assert protection.headers("ada")["x-ms-ratelimit-time-remaining-xrm-requests"] == "0.00"
    clock.advance(timedelta(seconds=57))
    run(protection, clock)


def test_requests_at_once_are_limited(protect):
    protection = protect(concurrent=2)
    first = protection.admit("ada")
    protection.admit("ada")
    with pytest.raises(ConcurrencyLimitExceeded, match="exceeded the limit of 2"):
        protection.admit("ada")
    protection.finished("ada", first)
    protection.admit("ada")


def test_headers_tell_what_is_left(protect, clock):
    protection = protect(requests=3)
    run(protection, clock, seconds=1.5)
    assert protection.headers("ada") == {
        "x-ms-ratelimit-burst-remaining-xrm-requests": "2",
        "x-ms-ratelimit-time-remaining-xrm-requests": "1,198.50",
    }


@pytest.mark.behaviour("Web API", "More than 6,000 requests in 300 seconds answer 429 with Retry-After", "api-limits")
def test_a_client_in_a_hurry_is_answered_with_429(site, clock):
    http = site(limits=Limits(requests=2, window=timedelta(seconds=30)))
    first = http.who_am_i()
    http.who_am_i()
    refused = http.who_am_i()

    assert first.headers["x-ms-ratelimit-burst-remaining-xrm-requests"] == "1"
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "30")
    assert refused.json()["error"] == {
        "code": "0x80072322",
        "message": "Number of requests exceeded the limit of 2 over time window of 30 seconds.",
    }
    clock.advance(timedelta(seconds=30))
    assert http.who_am_i().status_code == 200


def test_without_limits_nothing_is_counted(http):
    assert "x-ms-ratelimit-burst-remaining-xrm-requests" not in http.who_am_i().headers
