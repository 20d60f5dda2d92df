"""The settings, read from environment variables into one frozen value.

    settings = Settings.load()

Every setting has a default that needs no outside service. A ``.env`` file in the working directory is read if present;
variables of the process take precedence over it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from azure_bridge.clock import Clock
from azure_bridge.redaction import register_secret
from azure_bridge.secrets import OVERLAP, REFRESH_AFTER, Secrets, references

__all__ = ["Settings", "SettingsError", "environment"]

#: Paths below ``RUNNER_PUBLIC_URL`` that Dataverse and Stripe post to.
DATAVERSE_HOOK = "/dataverse/webhook"
STRIPE_HOOK = "/stripe/webhook"

DATAVERSE_AUTHENTICATIONS = ("client-secret", "certificate", "managed-identity", "workload-identity", "none")
#: Identities for which Azure sets client and tenant id in ``AZURE_...`` variables.
_PLATFORM_IDENTITIES = ("managed-identity", "workload-identity")

#: Host suffixes of real environments, in all clouds.
#: Source: https://learn.microsoft.com/power-platform/admin/new-datacenter-regions
_OF_MICROSOFT = (".dynamics.com", ".microsoftdynamics.us", ".appsplatform.us", ".dynamics.cn")

_LIVE_KEYS = ("sk_live_", "rk_live_")
_YES = {"yes", "true", "1", "on"}
_NO = {"", "no", "false", "0", "off"}


class SettingsError(Exception):
    """Settings contradict each other or cannot be read. The message names the variables and what to do."""

    exit_code = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings, each under the lower-case name of its variable. Secrets stay out of ``repr``."""

    dataverse_url: str | None = None
    """``DATAVERSE_URL``: the environment's root, or a served emulator. None: the embedded Dataverse."""

    dataverse_auth: str = "none"
    """``DATAVERSE_AUTH``: client-secret, certificate, managed-identity, workload-identity, or none for an
    emulator. Unset: what the credentials given are good for."""

    dataverse_tenant_id: str | None = None
    """``DATAVERSE_TENANT_ID``: directory of the app registration. With a workload identity, ``AZURE_TENANT_ID``
    unless given."""

    dataverse_client_id: str | None = None
    """``DATAVERSE_CLIENT_ID``: the app registration, or a user-assigned managed identity. With a managed or workload
    identity, ``AZURE_CLIENT_ID`` unless given."""

    dataverse_client_secret: str | None = field(default=None, repr=False)
    """``DATAVERSE_CLIENT_SECRET``."""

    dataverse_client_certificate: str | None = None
    """``DATAVERSE_CLIENT_CERTIFICATE``: path of a PEM or PKCS #12 (.pfx) file with certificate and private key."""

    dataverse_client_certificate_password: str | None = field(default=None, repr=False)
    """``DATAVERSE_CLIENT_CERTIFICATE_PASSWORD``: what the private key is encrypted with."""

    azure_client_id: str | None = None
    """``AZURE_CLIENT_ID``: a user-assigned identity of this machine. Azure's libraries read it for Service Bus and Key
    Vault, as they read the three after it. None: the system-assigned identity."""

    azure_tenant_id: str | None = None
    """``AZURE_TENANT_ID``: directory of a workload identity."""

    azure_federated_token_file: str | None = None
    """``AZURE_FEDERATED_TOKEN_FILE``: where a workload identity's token is kept fresh."""

    azure_authority_host: str | None = None
    """``AZURE_AUTHORITY_HOST``: Microsoft Entra of a sovereign cloud, such as ``login.microsoftonline.us``."""

    runner_public_url: str = "http://127.0.0.1:8080"
    """``RUNNER_PUBLIC_URL``: where Dataverse and Stripe reach ``runner serve``."""

    dataverse_webhook_key: tuple[str, ...] = field(default=(), repr=False)
    """``DATAVERSE_WEBHOOK_KEY``: what Dataverse sends; several, comma-separated, for rotation. Empty: webhooks
    are accepted on loopback only."""

    stripe_secret_key: str | None = field(default=None, repr=False)
    """``STRIPE_SECRET_KEY``. None: the in-process simulator."""

    stripe_live: bool = False
    """``STRIPE_LIVE``: ``yes`` must go with a live key, and a live key with ``yes``."""

    stripe_api_base: str | None = None
    """``STRIPE_API_BASE``: another Stripe-compatible server."""

    stripe_webhook_secret: tuple[str, ...] = field(default=(), repr=False)
    """``STRIPE_WEBHOOK_SECRET``: several, comma-separated, for rotation. Empty: the simulator's own."""

    servicebus_connection_string: str | None = field(default=None, repr=False)
    """``SERVICEBUS_CONNECTION_STRING``. Neither this nor the namespace: the embedded queue."""

    servicebus_namespace: str | None = None
    """``SERVICEBUS_NAMESPACE``: ``contoso.servicebus.windows.net``, reached with this machine's identity. Unset: what
    Azure Functions calls ``SERVICEBUS__fullyQualifiedNamespace``."""

    dataverse_events_queue: str = "dataverse-events"
    """``DATAVERSE_EVENTS_QUEUE``."""

    payment_events_queue: str = "payment-events"
    """``PAYMENT_EVENTS_QUEUE``."""

    reconcile_since: timedelta = timedelta(days=2)
    """``RECONCILE_SINCE``: how far back a reconciliation by Azure Functions' timer looks, such as ``12h`` or ``2d``."""

    reconcile_fix: bool = True
    """``RECONCILE_FIX``: whether it puts right what differs, or only tells."""

    key_vault_url: str | None = None
    """``KEY_VAULT_URL``. None: ``${keyvault:}`` references are refused."""

    key_vault_refresh: timedelta = REFRESH_AFTER
    """``KEY_VAULT_REFRESH``: how long a vault's secret is used before it is asked for again: ``15m``."""

    key_vault_overlap: timedelta = OVERLAP
    """``KEY_VAULT_OVERLAP``: how long the version before a rotated secret counts beside the new one: ``24h``."""

    runner_data_dir: Path = Path(".runner")
    """``RUNNER_DATA_DIR``: queues, rows of the embedded Dataverse and its Stripe, places of polling."""

    runner_registrations: Path = Path("registrations.yaml")
    """``RUNNER_REGISTRATIONS``."""

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read ``environ``, or the process's environment and ``.env``.

        Raises:
          SettingsError: with everything that is wrong, one line each.
        """
        return _read(environment() if environ is None else environ)

    @property
    def is_at_service_bus(self) -> bool:
        """Whether the queues are at Azure Service Bus, and not embedded."""
        return bool(self.servicebus_connection_string or self.servicebus_namespace)

    @property
    def is_real_environment(self) -> bool:
        """Whether ``DATAVERSE_URL`` is at Microsoft's, and neither embedded nor an emulator."""
        host = urlsplit(self.dataverse_url or "").hostname or ""
        return host.endswith(_OF_MICROSOFT)

    def secrets(self, clock: Clock | None = None) -> Secrets:
        """Resolves ``${env:...}`` and ``${keyvault:...}`` in registrations, and in settings that hold secrets."""
        return Secrets.from_environment(
            environment(),
            key_vault_url=self.key_vault_url,
            refresh_after=self.key_vault_refresh,
            overlap=self.key_vault_overlap,
            clock=clock,
        )


def environment(directory: Path | None = None) -> Mapping[str, str]:
    """The process's variables over those of ``.env`` in ``directory`` (default: the working directory)."""
    dotenv_file = (directory or Path.cwd()) / ".env"
    if not dotenv_file.is_file():
        return os.environ
    from dotenv import dotenv_values

    from_file = {name: value for name, value in dotenv_values(dotenv_file).items() if value is not None}
    return {**from_file, **os.environ}


def _read(environ: Mapping[str, str]) -> Settings:
    problems: list[str] = []
    values: dict[str, object] = {}
    for each in fields(Settings):
        text = (environ.get(each.name.upper()) or environ.get(_ELSEWHERE_CALLED.get(each.name, ""), "")).strip()
        if not text:
            continue
        try:
            values[each.name] = _CONVERTERS.get(str(each.type), str)(text)
        except ValueError as error:
            problems.append(f"{each.name.upper()} {error}")
    values.setdefault("dataverse_auth", _authentication(values))
    if values["dataverse_auth"] in _PLATFORM_IDENTITIES:
        values = _named_by_platform(values) | values
    settings = Settings(**values)  # type: ignore[arg-type]  # each value was converted to its field's type
    _register_secrets(settings)
    problems += [problem for check in _CHECKS for problem in check(settings)]
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


def _yes_or_no(text: str) -> bool:
    word = text.lower()
    if word not in _YES | _NO:
        raise ValueError(f"is {text!r}; write yes or no.")
    return word in _YES


def _comma_separated(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def age(text: str) -> timedelta:
    """``90m``, ``12h`` or ``7d``. Raises ValueError."""
    match = re.fullmatch(r"(\d{1,5})([smhd])", text)
    if match is None:
        raise ValueError(f"is {text!r}; write an age such as 90m, 12h or 7d.")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

_CONVERTERS: Mapping[str, Callable[[str], object]] = {
    "bool": _yes_or_no,
    "tuple[str, ...]": _comma_separated,
    "Path": Path,
    "timedelta": age,
}

#: Other names of settings, so that a Functions app needs only one setting for its triggers and for us.
_ELSEWHERE_CALLED: Mapping[str, str] = {"servicebus_namespace": "SERVICEBUS__fullyQualifiedNamespace"}


def _authentication(values: Mapping[str, object]) -> str:
    if "dataverse_client_secret" in values:
        return "client-secret"
    return "certificate" if "dataverse_client_certificate" in values else "none"


def _named_by_platform(values: Mapping[str, object]) -> dict[str, object]:
    """Client and tenant id that Azure sets for this machine's identity, as defaults for Dataverse."""
    names = {"dataverse_client_id": "azure_client_id", "dataverse_tenant_id": "azure_tenant_id"}
    return {ours: values[theirs] for ours, theirs in names.items() if theirs in values}


def _register_secrets(settings: Settings) -> None:
    for each in fields(settings):
        value = getattr(settings, each.name)
        if each.repr or value is None:
            continue
        for secret in [value] if isinstance(value, str) else value:
            if not references(secret):
                register_secret(secret)


def check_stripe_mode(key: str, *, live: bool) -> Iterator[str]:
    """Yields a message if ``key`` is a test key in live mode, or a live key in test mode."""
    live_key = key.startswith(_LIVE_KEYS)
    if live_key and not live:
        yield "STRIPE_SECRET_KEY is a live key: real money moves. Use a test key, or set STRIPE_LIVE=yes to mean it."
    if live and not live_key:
        yield "STRIPE_LIVE=yes needs a live key in STRIPE_SECRET_KEY. Set one, or remove STRIPE_LIVE."


def _check_stripe(settings: Settings) -> Iterator[str]:
    key = settings.stripe_secret_key or ""
    # What a reference stands for is checked when it is looked up.
    if not references(key):
        yield from check_stripe_mode(key, live=settings.stripe_live)


def _check_dataverse(settings: Settings) -> Iterator[str]:
    if settings.dataverse_auth not in DATAVERSE_AUTHENTICATIONS:
        yield f"DATAVERSE_AUTH is {settings.dataverse_auth!r}; use one of {', '.join(DATAVERSE_AUTHENTICATIONS)}."
    if settings.dataverse_url is None:
        return
    for name in _NEEDED.get(settings.dataverse_auth, ()):
        if getattr(settings, name) is None:
            yield f"{name.upper()} is not set, and DATAVERSE_AUTH={settings.dataverse_auth} needs it."
    if settings.dataverse_auth == "none" and settings.is_real_environment:
        yield (
            f"DATAVERSE_URL is a real environment ({urlsplit(settings.dataverse_url).hostname}) and there is no way to "
            "sign in. Set DATAVERSE_TENANT_ID, DATAVERSE_CLIENT_ID and DATAVERSE_CLIENT_SECRET, or "
            "DATAVERSE_AUTH=managed-identity."
        )


_NEEDED: Mapping[str, tuple[str, ...]] = {
    "client-secret": ("dataverse_tenant_id", "dataverse_client_id", "dataverse_client_secret"),
    "certificate": ("dataverse_tenant_id", "dataverse_client_id", "dataverse_client_certificate"),
    "workload-identity": ("dataverse_tenant_id", "dataverse_client_id", "azure_federated_token_file"),
}


def _check_addresses(settings: Settings) -> Iterator[str]:
    for name in ("dataverse_url", "runner_public_url", "stripe_api_base", "key_vault_url"):
        value = getattr(settings, name)
        if value is not None and (urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname):
            yield f"{name.upper()} is {value!r}; an address such as https://contoso.crm.dynamics.com is needed."


def _check_service_bus(settings: Settings) -> Iterator[str]:
    if settings.servicebus_connection_string and settings.servicebus_namespace:
        yield "SERVICEBUS_CONNECTION_STRING and SERVICEBUS_NAMESPACE are both set. Keep one."
    namespace = settings.servicebus_namespace
    if namespace is not None and not _HOST_NAME.fullmatch(namespace):
        yield f"SERVICEBUS_NAMESPACE is {namespace!r}; a host name such as contoso.servicebus.windows.net is needed."


_HOST_NAME = re.compile(r"[\w-]+(\.[\w-]+)+")


def _check_queues(settings: Settings) -> Iterator[str]:
    # Service Bus does not tell upper case from lower case either.
    if settings.payment_events_queue.lower() == settings.dataverse_events_queue.lower():
        yield (
            f"PAYMENT_EVENTS_QUEUE and DATAVERSE_EVENTS_QUEUE are both {settings.payment_events_queue!r}, and each "
            "would set aside what is the other's. Give them two queues."
        )


_CHECKS = (_check_stripe, _check_dataverse, _check_addresses, _check_service_bus, _check_queues)
