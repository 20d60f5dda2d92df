// Copy to main.bicepparam and fill in. Nothing in it is secret.
using 'main.bicep'

param prefix = 'contoso'
param dataverseUrl = 'https://contoso.crm.dynamics.com'
param host = 'containerapps'
param registryName = 'contosoregistry'
param image = 'dataverse-plugin-runner:0.1.0'
param stripeLive = false
param alertEmail = 'payments@contoso.com'
