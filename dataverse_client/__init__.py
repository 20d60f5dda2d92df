"""A client of the Dataverse Web API.

    from dataverse_client.auth import EntraTokens
    from dataverse_client.client import DataverseClient
    from dataverse_client.sign_in import Application, ClientSecret
    from dataverse_client.types import Entity

    url = "https://contoso.crm.dynamics.com"
    tokens = EntraTokens(url, Application("<tenant id>", "<client id>", ClientSecret("<secret>")))
    with DataverseClient(url, tokens=tokens) as client:
        account_id = client.create(Entity("account", attributes={"name": "Contoso"}))

Nothing is imported here: plug-ins need only :mod:`dataverse_client.types`, which loads neither requests nor MSAL.
"""
