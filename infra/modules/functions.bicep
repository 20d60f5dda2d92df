// The same as Azure Functions, on the Flex Consumption plan.
param prefix string
param suffix string
param location string
param withApp bool
param runnerIdentityName string
param serviceBusHost string
param settings object
param insightsName string

@description('When to compare Stripe with CRM: second, minute, hour, day, month, weekday, in UTC.')
param reconcileSchedule string = '0 0 3 * * *'

var roles = loadJsonContent('../roles.json')
var appName = '${prefix}-functions-${suffix}'
var publicUrl = 'https://${appName}.azurewebsites.net'

resource runnerIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  name: runnerIdentityName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

// What the Functions host itself needs: its package, and the timer's lease.
resource storage 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: 'st${replace(prefix, '-', '')}${suffix}'
  location: location
  kind: 'StorageV2'
  sku: { name: 'Standard_LRS' }
  properties: {
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' = {
  parent: storage
  name: 'default'
}

resource package 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = {
  parent: blobs
  name: 'app-package'
}

resource storageGrant 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(storage.id, runnerIdentity.id, roles['Storage Blob Data Owner'])
  scope: storage
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles['Storage Blob Data Owner'])
    principalId: runnerIdentity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

resource insightsGrant 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(insights.id, runnerIdentity.id, roles['Monitoring Metrics Publisher'])
  scope: insights
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles['Monitoring Metrics Publisher'])
    principalId: runnerIdentity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: '${prefix}-plan'
  location: location
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

var hostSettings = {
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${runnerIdentity.properties.clientId};Authorization=AAD'
  APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
  AzureWebJobsStorage__accountName: storage.name
  AzureWebJobsStorage__clientId: runnerIdentity.properties.clientId
  AzureWebJobsStorage__credential: 'managedidentity'
  RECONCILE_SCHEDULE: reconcileSchedule
  RUNNER_DATA_DIR: '/tmp/runner'
  RUNNER_PUBLIC_URL: publicUrl
  SERVICEBUS__clientId: runnerIdentity.properties.clientId
  SERVICEBUS__credential: 'managedidentity'
  SERVICEBUS__fullyQualifiedNamespace: serviceBusHost
}

resource app 'Microsoft.Web/sites@2024-04-01' = if (withApp) {
  name: appName
  location: location
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${runnerIdentity.id}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    siteConfig: {
      minTlsVersion: '1.2'
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}${package.name}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: runnerIdentity.id
          }
        }
      }
      runtime: { name: 'python', version: '3.11' }
      scaleAndConcurrency: {
        maximumInstanceCount: 40
        instanceMemoryMB: 2048
        // A cold start would be part of the transaction in which an inline step is waited for.
        alwaysReady: [{ name: 'http', instanceCount: 1 }]
      }
    }
  }

  resource appSettings 'config' = {
    name: 'appsettings'
    properties: union(settings, hostSettings)
  }
  dependsOn: [storageGrant, insightsGrant]
}

output publicUrl string = publicUrl
