"""What ``runner serve`` answers: Dataverse's and Stripe's webhooks, health and figures."""
