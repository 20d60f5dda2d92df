"""What a step registered on a service endpoint sends to a webhook or to Azure Service Bus, and how sending fails.

``notification`` sends, to where ``service_endpoints`` says; ``faults`` are what a synchronous step refuses with.
"""
