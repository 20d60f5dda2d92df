// Receivers (runner serve --no-workers), workers (runner work) and a nightly runner reconcile, all from one image.
param prefix string
param location string
param withApp bool
param registryName string
param image string
param runnerIdentityName string
param platformIdentityName string
param serviceBusName string
param serviceBusHost string
param settings object
param logsId string

@description('When to compare Stripe with CRM, in UTC.')
param reconcileSchedule string = '0 3 * * *'

var acrPull = loadJsonContent('../roles.json').AcrPull
var receiverName = '${prefix}-receiver'
var publicUrl = 'https://${receiverName}.${host.properties.defaultDomain}'

resource runnerIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  name: runnerIdentityName
}

resource platformIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  name: platformIdentityName
}

resource registry 'Microsoft.ContainerRegistry/registries@2023-07-01' existing = {
  name: registryName
}

resource pull 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(registry.id, platformIdentity.id, acrPull)
  scope: registry
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', acrPull)
    principalId: platformIdentity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

resource host 'Microsoft.App/managedEnvironments@2025-01-01' = {
  name: '${prefix}-containers'
  location: location
  properties: {
    appLogsConfiguration: { destination: 'azure-monitor' }
  }
}

resource consoleLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'logs'
  scope: host
  properties: {
    workspaceId: logsId
    logs: [{ categoryGroup: 'allLogs', enabled: true }]
  }
}

var identity = {
  type: 'UserAssigned'
  userAssignedIdentities: {
    '${runnerIdentity.id}': {}
    '${platformIdentity.id}': {}
  }
}

// The platform's identity is for the platform alone: no container is given its tokens.
var identitySettings = [{ identity: platformIdentity.id, lifecycle: 'None' }]

var registries = [{ server: registry.properties.loginServer, identity: platformIdentity.id }]

var own = { SERVICEBUS_NAMESPACE: serviceBusHost, RUNNER_PUBLIC_URL: publicUrl }

var env = map(items(union(settings, own)), each => { name: each.key, value: each.value })

var fullImage = '${registry.properties.loginServer}/${image}'

resource receiver 'Microsoft.App/containerApps@2025-01-01' = if (withApp) {
  name: receiverName
  location: location
  identity: identity
  properties: {
    environmentId: host.id
    configuration: {
      activeRevisionsMode: 'Single'
      identitySettings: identitySettings
      registries: registries
      ingress: {
        external: true
        targetPort: 8080
        allowInsecure: false
        transport: 'http'
      }
    }
    template: {
      containers: [
        {
          name: 'receiver'
          image: fullImage
          args: ['serve', '--no-workers', '--host', '0.0.0.0', '--port', '8080']
          env: env
          resources: { cpu: json('0.5'), memory: '1Gi' }
          probes: [
            { type: 'Liveness', httpGet: { path: '/healthz', port: 8080 }, periodSeconds: 30 }
            { type: 'Readiness', httpGet: { path: '/readyz', port: 8080 }, periodSeconds: 10, timeoutSeconds: 5 }
          ]
        }
      ]
      // Dataverse tries a webhook again once and no more: never one alone, never none.
      scale: {
        minReplicas: 2
        maxReplicas: 10
        rules: [{ name: 'requests', http: { metadata: { concurrentRequests: '50' } } }]
      }
    }
  }
  dependsOn: [pull]
}

resource worker 'Microsoft.App/containerApps@2025-01-01' = if (withApp) {
  name: '${prefix}-worker'
  location: location
  identity: identity
  properties: {
    environmentId: host.id
    configuration: {
      activeRevisionsMode: 'Single'
      identitySettings: identitySettings
      registries: registries
    }
    template: {
      containers: [
        {
          name: 'worker'
          image: fullImage
          args: ['work']
          env: env
          resources: { cpu: json('0.5'), memory: '1Gi' }
        }
      ]
      // What is at work when one is stopped is finished, or comes again.
      terminationGracePeriodSeconds: 60
      scale: {
        minReplicas: 1
        maxReplicas: 10
        rules: [
          for queueName in [settings.DATAVERSE_EVENTS_QUEUE, settings.PAYMENT_EVENTS_QUEUE]: {
            name: queueName
            custom: {
              type: 'azure-servicebus'
              identity: platformIdentity.id
              metadata: {
                namespace: serviceBusName
                queueName: queueName
                messageCount: '100'
              }
            }
          }
        ]
      }
    }
  }
  dependsOn: [pull]
}

resource reconcile 'Microsoft.App/jobs@2025-01-01' = if (withApp) {
  name: '${prefix}-reconcile'
  location: location
  identity: identity
  properties: {
    environmentId: host.id
    configuration: {
      triggerType: 'Schedule'
      scheduleTriggerConfig: { cronExpression: reconcileSchedule }
      replicaTimeout: 7200
      replicaRetryLimit: 1
      identitySettings: identitySettings
      registries: registries
    }
    template: {
      containers: [
        {
          name: 'reconcile'
          image: fullImage
          args: ['reconcile', '--since', '2d', '--fix']
          env: env
          resources: { cpu: json('0.5'), memory: '1Gi' }
        }
      ]
    }
  }
  dependsOn: [pull]
}

output publicUrl string = publicUrl
