"""Microsoft's pages that problems and notes point to."""

from __future__ import annotations

LEARN = "https://learn.microsoft.com/power-apps/developer/data-platform"
REGISTER = f"{LEARN}/register-plug-in"
WEBHOOKS = f"{LEARN}/use-webhooks"
AZURE = f"{LEARN}/azure-integration"
CUSTOM_API = f"{LEARN}/customapi-table-columns"
