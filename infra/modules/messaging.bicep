// The two queues, and who may use them.
param name string
param location string
param queues array
param runnerPrincipalId string
param platformPrincipalId string

var roles = loadJsonContent('../roles.json')

resource namespace 'Microsoft.ServiceBus/namespaces@2024-01-01' = {
  name: name
  location: location
  // Basic detects no duplicates.
  sku: { name: 'Standard', tier: 'Standard' }
  properties: {
    minimumTlsVersion: '1.2'
    // No keys: whoever comes shows an identity.
    disableLocalAuth: true
  }
}

// As the embedded queue is by default, so that both engines do the same.
resource queue 'Microsoft.ServiceBus/namespaces/queues@2024-01-01' = [
  for queueName in queues: {
    parent: namespace
    name: queueName
    properties: {
      // These three can never be changed again.
      requiresDuplicateDetection: true
      requiresSession: false
      enablePartitioning: false
      // Stripe tries again for three days; within seven nobody is told twice.
      duplicateDetectionHistoryTimeWindow: 'P7D'
      lockDuration: 'PT1M'
      maxDeliveryCount: 10
      maxSizeInMegabytes: 5120
      // What nobody fetched in two weeks is not lost but set aside.
      defaultMessageTimeToLive: 'P14D'
      deadLetteringOnMessageExpiration: true
    }
  }
]

var grants = [
  { principalId: runnerPrincipalId, role: roles['Azure Service Bus Data Sender'] }
  { principalId: runnerPrincipalId, role: roles['Azure Service Bus Data Receiver'] }
  // To count the messages that wait, which is all the scaler does, Service Bus asks for the right to manage.
  { principalId: platformPrincipalId, role: roles['Azure Service Bus Data Owner'] }
]

resource grant 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for each in grants: {
    name: guid(namespace.id, each.principalId, each.role)
    scope: namespace
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', each.role)
      principalId: each.principalId
      principalType: 'ServicePrincipal'
    }
  }
]

output id string = namespace.id
output name string = namespace.name
output host string = split(replace(namespace.properties.serviceBusEndpoint, 'https://', ''), ':')[0]
