// Everything the runner needs on Azure, in one resource group. Deployed twice, as docs/deploy-azure.md tells: first without
// the app, so that its identity can be let into Dataverse and the secrets put into the vault; then with it.
targetScope = 'resourceGroup'

@description('Begins the name of every resource.')
@minLength(3)
@maxLength(8)
param prefix string

@description('Where the resources are.')
param location string = resourceGroup().location

@description('What runs the runner: containers of its image, or Azure Functions.')
@allowed(['containerapps', 'functions'])
param host string = 'containerapps'

@description('False: all but what runs, while the vault is still empty.')
param withApp bool = false

@description('The root of the Dataverse environment, such as https://contoso.crm.dynamics.com.')
param dataverseUrl string

@description('Real money: the vault holds a live key of Stripe.')
param stripeLive bool = false

@description('The container registry in this resource group that holds the image. For containerapps.')
param registryName string = ''

@description('The image, without the registry: dataverse-plugin-runner:0.1.0. For containerapps.')
param image string = ''

@description('Who is told of dead letters, and when the receiver cannot be reached. Empty: nobody.')
param alertEmail string = ''

@description('The queue of notifications from Dataverse.')
param dataverseEventsQueue string = 'dataverse-events'

@description('The queue of events from Stripe.')
param paymentEventsQueue string = 'payment-events'

var suffix = uniqueString(resourceGroup().id, prefix)
var inContainers = host == 'containerapps'

// Who the runner is: to Dataverse, Service Bus and the vault.
resource runnerIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: '${prefix}-runner'
  location: location
}

// What Azure does around it: pull the image, count messages. The runner's code cannot be it.
resource platformIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: '${prefix}-platform'
  location: location
}

resource logs 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: '${prefix}-logs'
  location: location
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: 30
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: '${prefix}-insights'
  location: location
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: logs.id
    DisableLocalAuth: true
  }
}

module messaging 'modules/messaging.bicep' = {
  name: 'messaging'
  params: {
    name: '${prefix}-bus-${suffix}'
    location: location
    queues: [dataverseEventsQueue, paymentEventsQueue]
    runnerPrincipalId: runnerIdentity.properties.principalId
    platformPrincipalId: platformIdentity.properties.principalId
  }
}

module vault 'modules/vault.bicep' = {
  name: 'vault'
  params: {
    name: '${prefix}-${take(suffix, 12)}-kv'
    location: location
    readerPrincipalId: runnerIdentity.properties.principalId
    logsId: logs.id
  }
}

// The settings of docs/settings.md that both hosts share. Secrets are references, which the runner looks up in the vault
// itself, so that a rotated one needs no restart. Whoever deploys puts the values there; none passes through here.
var settings = {
  AZURE_AUTHORITY_HOST: environment().authentication.loginEndpoint
  AZURE_CLIENT_ID: runnerIdentity.properties.clientId
  DATAVERSE_AUTH: 'managed-identity'
  DATAVERSE_EVENTS_QUEUE: dataverseEventsQueue
  DATAVERSE_URL: dataverseUrl
  DATAVERSE_WEBHOOK_KEY: '\${keyvault:dataverse-webhook-key}'
  KEY_VAULT_URL: vault.outputs.url
  PAYMENT_EVENTS_QUEUE: paymentEventsQueue
  STRIPE_LIVE: stripeLive ? 'yes' : 'no'
  STRIPE_SECRET_KEY: '\${keyvault:stripe-secret-key}'
  STRIPE_WEBHOOK_SECRET: '\${keyvault:stripe-webhook-secret}'
}

module containers 'modules/containers.bicep' = if (inContainers) {
  name: 'containers'
  params: {
    prefix: prefix
    location: location
    withApp: withApp
    registryName: registryName
    image: image
    runnerIdentityName: runnerIdentity.name
    platformIdentityName: platformIdentity.name
    serviceBusName: messaging.outputs.name
    serviceBusHost: messaging.outputs.host
    settings: settings
    logsId: logs.id
  }
}

module functions 'modules/functions.bicep' = if (!inContainers) {
  name: 'functions'
  params: {
    prefix: prefix
    suffix: suffix
    location: location
    withApp: withApp
    runnerIdentityName: runnerIdentity.name
    serviceBusHost: messaging.outputs.host
    settings: settings
    insightsName: insights.name
  }
}

var publicUrl = inContainers ? containers!.outputs.publicUrl : functions!.outputs.publicUrl

module watch 'modules/watch.bicep' = if (withApp && !empty(alertEmail)) {
  name: 'watch'
  params: {
    prefix: prefix
    location: location
    email: alertEmail
    publicUrl: publicUrl
    insightsId: insights.id
    serviceBusId: messaging.outputs.id
  }
}

@description('Where Dataverse and Stripe reach the runner: RUNNER_PUBLIC_URL.')
output publicUrl string = publicUrl

@description('The application that becomes an application user of the Dataverse environment.')
output runnerClientId string = runnerIdentity.properties.clientId

@description('Where the secrets go.')
output vaultName string = vault.outputs.name

@description('SERVICEBUS_NAMESPACE.')
output serviceBusHost string = messaging.outputs.host
