import { bootstrapFeatures } from '../../controller/decideCluster.ts'
import { type AnyApi, apiKeys, clusterApiKeys } from '../../protocol/apiKeys.ts'
import type { Infer } from '../../protocol/schema.ts'
import type { Answer } from '../dispatch.ts'
import type { RequestContext, Services } from '../services.ts'

type ApiVersionsApi = (typeof apiKeys)['apiVersions']
type Request = Infer<ApiVersionsApi['request']>

const invalidRequest = 42
/** Source: KIP-511. */
const softwareName = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/

const ofClusters: readonly AnyApi[] = Object.values(apiKeys)
const ofOne = ofClusters.filter(({ key }) => !clusterApiKeys.has(key))

/** ApiVersions: exactly what is implemented. */
export function handleApiVersions(
  services: Services,
  context: RequestContext,
  request: Request,
): Answer<ApiVersionsApi> {
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
  return {
    apiKeys,
    supportedFeatures: [...bootstrapFeatures].map(([name, level]) => ({
      name,
      minVersion: level,
      maxVersion: level,
    })),
    finalizedFeaturesEpoch: image.nextOffset,
    finalizedFeatures: [...image.features].map(([name, level]) => ({
      name,
      minVersionLevel: level,
      maxVersionLevel: level,
    })),
  }
}
