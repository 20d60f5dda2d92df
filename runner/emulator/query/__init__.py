"""Queries: OData, FetchXML, SQL and QueryExpression are parsed into one model, which is run on SQLite."""
