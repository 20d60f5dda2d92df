"""How long a message waits before it comes back."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from azure_bridge.settlement import RetryPolicy

SECOND = timedelta(seconds=1)


def test_delays_double_up_to_the_longest():
    policy = RetryPolicy(first=2 * SECOND, longest=10 * SECOND, jitter=lambda: 1)
    assert [policy.delay(attempt) for attempt in range(4)] == [2 * SECOND, 4 * SECOND, 8 * SECOND, 10 * SECOND]


def test_jitter_takes_away_up_to_half():
    assert RetryPolicy(first=2 * SECOND, jitter=lambda: 0).delay(0) == SECOND


@given(st.integers(0, 10**6), st.floats(0, 1), st.integers(0, 3600))
def test_no_attempt_waits_less_than_asked_or_longer_than_the_longest_on_top(attempt, jitter, asked):
    policy = RetryPolicy(jitter=lambda: jitter)
    delay = policy.delay(attempt, at_least=asked * SECOND)
    assert asked * SECOND < delay <= asked * SECOND + policy.longest


def test_a_row_is_waited_for_about_an_hour():
    policy = RetryPolicy(jitter=lambda: 0.5)
    waited = sum((policy.delay(attempt) for attempt in range(policy.attempts)), timedelta(0))
    assert timedelta(minutes=40) < waited < timedelta(minutes=80)
