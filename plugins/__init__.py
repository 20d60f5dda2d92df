"""The plug-ins that ``registrations.yaml`` names: they keep a Stripe PaymentIntent for each Payment and Sales Order."""
