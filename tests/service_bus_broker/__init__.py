"""A stand-in for Azure Service Bus: the unmodified Azure SDK talks AMQP 1.0 to it over a real socket.

It is for tests and benchmarks. What it does not have, it does not pretend to: no sessions, rules, deferral,
transactions or tokens that are checked, and nothing outlives the process.
Needs python-qpid-proton.
"""
