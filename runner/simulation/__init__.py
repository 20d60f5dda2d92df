"""``runner simulate``: one row's way through plug-ins, Stripe and the bridge, in one process."""
