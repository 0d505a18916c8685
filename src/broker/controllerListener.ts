import { EngineError } from '../model/errors.ts'
import { apiKeys } from '../protocol/apiKeys.ts'
import type { Infer } from '../protocol/schema.ts'
import type { Administer } from '../replica/nodes/earlyRequests.ts'
import { type Answer, type Dispatcher, type Handler, type Route, route } from './dispatch.ts'
import { Exchange } from './exchange.ts'
import { answerApiVersions } from './handlers/apiVersions.ts'
import {
  handleAlterConfigs,
  handleDescribeConfigs,
  handleIncrementalAlterConfigs,
} from './handlers/configs.ts'
import { handleElectLeaders } from './handlers/electLeaders.ts'
import { quorumRoutes } from './handlers/quorum.ts'
import {
  handleAlterPartitionReassignments,
  handleListPartitionReassignments,
} from './handlers/reassignments.ts'
import { type RequestContext, type Services, wireError } from './services.ts'

type Apis = typeof apiKeys
type DescribeCluster = Apis['describeCluster']

const EndpointType = { brokers: 1, controllers: 2 } as const

const tools: readonly Route[] = [
  route(apiKeys.describeCluster, describeControllers),
  ...quorumRoutes,
  route(apiKeys.describeConfigs, handleDescribeConfigs),
  route(apiKeys.alterConfigs, handleAlterConfigs),
  route(apiKeys.incrementalAlterConfigs, handleIncrementalAlterConfigs),
  route(apiKeys.electLeaders, handleElectLeaders),
  route(apiKeys.alterPartitionReassignments, handleAlterPartitionReassignments),
  route(apiKeys.listPartitionReassignments, handleListPartitionReassignments),
]

const handleVersions: Handler<Apis['apiVersions']> = (services, context, request) =>
  answerApiVersions(
    services,
    context,
    request,
    controllerRoutes.map(({ api }) => api),
  )

/** What Kafka's tools may ask of the listener on which nodes reach each other (`--bootstrap-controller`, KIP-919). */
export const controllerRoutes: readonly Route[] = [route(apiKeys.apiVersions, handleVersions), ...tools]

const keys = new Set(controllerRoutes.map(({ api }) => api.key))

/** Answers tools on the listener of the nodes. `dispatcher` has `controllerRoutes`. */
export function administerWith(dispatcher: Dispatcher): Administer {
  return (remoteHost, apiKey, request) => {
    if (!keys.has(apiKey)) return null
    return new Promise((resolve) => {
      const exchange = new Exchange(
        {
          remoteHost,
          settled: ({ parts }) => resolve(parts),
          held: () => {},
          proceeded: () => {},
          fail: () => resolve(null),
        },
        { bytes: request, isLent: false, release: () => {} },
      )
      dispatcher.dispatch(exchange)
    })
  }
}

/** DescribeCluster on this listener: the controllers. Source: KIP-919. */
function describeControllers(
  services: Services,
  _context: RequestContext,
  { endpointType }: Infer<DescribeCluster['request']>,
): Answer<DescribeCluster> {
  if (endpointType !== EndpointType.controllers) {
    const code = endpointType === EndpointType.brokers ? 'mismatchedEndpointType' : 'unsupportedEndpointType'
    const text = 'This listener belongs to a controller: ask it for controllers.'
    return { ...wireError(services, new EngineError(code, text)), endpointType }
  }
  const { metadata, logs } = services.cluster!.base
  const brokers = metadata.voters.voters.voters.flatMap(({ id, endpoints }) =>
    endpoints.slice(0, 1).map(({ host, port }) => ({ brokerId: id, host, port })),
  )
  return { clusterId: logs.clusterId, controllerId: metadata.leaderId, brokers, endpointType }
}
