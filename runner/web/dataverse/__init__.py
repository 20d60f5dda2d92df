"""The embedded Dataverse as a web site: its Web API, a token endpoint and a start page."""
