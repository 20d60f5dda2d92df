"""The web application of ``runner serve``: webhooks, health and metrics."""
