"""Queries: OData, FetchXML, SQL and QueryExpression are parsed into one model, which is run on SQLite.

``model`` is what every language becomes, and ``plan`` runs it. The other modules bear the names of their languages.
"""
