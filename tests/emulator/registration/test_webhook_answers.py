"""What a webhook answers, and how."""

from __future__ import annotations

import threading
from itertools import count

import pytest

from runner.emulator.notifications.notification import WEBHOOK_TIMEOUT

ENDLESS = {"Content-Length": "1000000"}
GARBLED = {"Content-Encoding": "gzip"}


@pytest.mark.behaviour("Notifications", "Only the status of an answer counts", "use-webhooks")
@pytest.mark.parametrize("headers", [ENDLESS, GARBLED], ids=["broken off", "garbled"])
@pytest.mark.parametrize(("status", "code"), [(200, None), (500, 0x80050201)])
def test_what_an_answer_says_decides_nothing(web, webhook, serving, headers, status, code):
    def answer(request):
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(b"no gzip, and not a million bytes")
        request.close_connection = True

    with serving(answer) as url:
        web.register(endpoint=webhook(url))
        created = web.send("POST", "accounts", {"name": "A"})
    assert created.status == (400 if code else 204)
    if code:
        assert int(created.json()["error"]["code"], 16) == code


def test_an_answer_that_never_ends_has_been_given(web, webhook, serving, monkeypatch):
    over, seconds = threading.Event(), count(step=WEBHOOK_TIMEOUT)
    monkeypatch.setattr("runner.emulator.notifications.notification.monotonic", lambda: next(seconds))

    def answer(request):
        request.send_response(200)
        request.send_header("Content-Length", "1000000")
        request.end_headers()
        over.wait(30)

    with serving(answer) as url:
        web.register(endpoint=webhook(url))
        assert web.send("POST", "accounts", {"name": "A"}).status == 204
        assert not over.is_set()
        over.set()
