"""What is masked, and what is left readable."""

from __future__ import annotations

import pytest

from azure_bridge.redaction import find_secrets, redact, register_secret


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("key sk_test_51abc", "key sk_test_***"),
        ("key rk_live_51abc,", "key rk_live_***,"),
        ("old key sk_4eC39HqLyjWDarjtT1zdp7dc", "old key sk_***"),
        ("whsec_abc123+/=", "whsec_***"),
        ("pi_3Mtw_secret_YrKJ of pi_3Mtw", "pi_3Mtw_secret_*** of pi_3Mtw"),
        ("cs_test_a1_secret_fidw", "cs_test_a1_secret_***"),
        ("Endpoint=sb://x;SharedAccessKey=abc=;EntityPath=q", "Endpoint=sb://x;SharedAccessKey=***;EntityPath=q"),
        ("AccountName=a;AccountKey=abc==", "AccountName=a;AccountKey=***"),
        ("https://x.blob/y?sv=1&sig=abcdefgh%3D&se=2", "https://x.blob/y?sv=1&sig=***&se=2"),
        ("authorization: bearer eyJhbGciOiJSUzI1NiJ9.e30", "authorization: bearer ***"),
        ('{"access_token": "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2ln-_", "n": 1}', '{"access_token": "***", "n": 1}'),
        ("secret abc8Q~" + "x1._~-" * 5 + "yz12 of app", "secret *** of app"),
        ("postgresql://runner:hunter2@db/traces", "postgresql://runner:***@db/traces"),
    ],
)
def test_a_secret_is_masked_by_its_shape(text: str, masked: str) -> None:
    assert redact(text) == masked
    assert redact(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "task_test_1",
        "sk_amountdue",
        "sk_paymentreferencenumber",
        "new_stripe_secret_name",
        "SharedAccessKeyName=send",
        "SharedAccessKey=${keyvault:key}",
        "the bearer of this letter",
        "http://127.0.0.1:8080/@me",
        "pi_3Mtw",
        "eyJhbGci is how tokens begin",
        "see Q~A, and 8Q~ too",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert redact(text) == text
    assert list(find_secrets(text)) == []


def test_what_was_registered_is_masked_longest_first() -> None:
    register_secret("correct-horse")
    register_secret("correct-horse-battery")
    assert redact("correct-horse-battery, correct-horse") == "***, ***"


def test_values_of_less_than_six_characters_mask_no_words() -> None:
    register_secret("yeste")
    register_secret("morrow")
    assert redact("yesterday and tomorrow") == "yesterday and to***"


def test_a_secret_is_reported_by_kind_and_place_only() -> None:
    (found,) = find_secrets("the key is sk_test_51abc")
    assert (found.kind, found.offset) == ("a Stripe API key", 11)
    assert "51abc" not in repr(found)
