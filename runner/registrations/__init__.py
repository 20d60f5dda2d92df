"""``registrations.yaml``: its model, the rules it is checked by, and its deployment to an environment."""
