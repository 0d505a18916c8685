import { bootstrapFeatures } from '../../controller/decideCluster.ts'
import { type AnyApi, apiKeys, clusterApiKeys } from '../../protocol/apiKeys.ts'
import type { Infer } from '../../protocol/schema.ts'
import type { Answer } from '../dispatch.ts'
import type { RequestContext, Services } from '../services.ts'

type ApiVersionsApi = (typeof apiKeys)['apiVersions']
type Request = Infer<ApiVersionsApi['request']>

const invalidRequest = 42
const rebootstrapRequired = 129
/** From here on a client may say whom it expects to find. */
const firstVersionWithExpectation = 5
/** Source: KIP-511. */
const softwareName = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/

const supported = [
  ...Array.from(bootstrapFeatures, ([name, level]) => ({ name, minVersion: level, maxVersion: level })),
  { name: 'kraft.version', minVersion: 0, maxVersion: 1 },
]

const ofClusters: readonly AnyApi[] = Object.values(apiKeys)
const ofOne = ofClusters.filter(({ key }) => !clusterApiKeys.has(key))

/**
 * ApiVersions: exactly what is implemented. A client that expects another cluster or another broker at this address is told to find
 * its brokers anew, from its bootstrap servers on. Source: KIP-1242.
 */
export function handleApiVersions(
  services: Services,
  context: RequestContext,
  request: Request,
): Answer<ApiVersionsApi> {
  const { controller, node } = services
  const { clusterId, nodeId } = request
  const isExpected =
    clusterId === null || (clusterId === controller.image.clusterId && nodeId === node.nodeId)
  if (context.apiVersion >= firstVersionWithExpectation && !isExpected) {
    return { errorCode: rebootstrapRequired }
  }
  return answerApiVersions(services, context, request, services.cluster === null ? ofOne : ofClusters)
}

/** The answer that names `apis`, and in a cluster its feature levels. */
export function answerApiVersions(
  { cluster, controller }: Services,
  { apiVersion }: RequestContext,
  { clientSoftwareName, clientSoftwareVersion }: Request,
  apis: readonly AnyApi[],
): Answer<ApiVersionsApi> {
  if (apiVersion >= 3) {
    if (!softwareName.test(clientSoftwareName) || !softwareName.test(clientSoftwareVersion)) {
      return { errorCode: invalidRequest }
    }
  }
  const apiKeys = apis
    .map(({ key, advertisedMin, max }) => ({ apiKey: key, minVersion: advertisedMin, maxVersion: max }))
    .sort((one, other) => one.apiKey - other.apiKey)
  if (cluster === null) return { apiKeys }
  const { image } = controller
  const finalized: [string, number][] = [...image.features]
  // The voters stand in the log: whether they do is a feature that only the quorum itself knows. Source: KIP-853.
  if (cluster.base.metadata.voters.offset >= 0) finalized.push(['kraft.version', 1])
  return {
    apiKeys,
    supportedFeatures: supported,
    finalizedFeaturesEpoch: image.nextOffset,
    finalizedFeatures: finalized.map(([name, level]) => ({
      name,
      minVersionLevel: level,
      maxVersionLevel: level,
    })),
  }
}
