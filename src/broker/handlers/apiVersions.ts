import { apiKeys } from '../../protocol/apiKeys.ts'
import type { Infer } from '../../protocol/schema.ts'
import type { Answer } from '../dispatch.ts'
import type { RequestContext, Services } from '../services.ts'

type ApiVersionsApi = (typeof apiKeys)['apiVersions']

const invalidRequest = 42
/** Source: KIP-511. */
const softwareName = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/

const advertised = Object.values(apiKeys)
  .map(({ key, advertisedMin, max }) => ({ apiKey: key, minVersion: advertisedMin, maxVersion: max }))
  .sort((one, other) => one.apiKey - other.apiKey)

/** ApiVersions: exactly what is implemented. */
export function handleApiVersions(
  _services: Services,
  { apiVersion }: RequestContext,
  request: Infer<ApiVersionsApi['request']>,
): Answer<ApiVersionsApi> {
  if (apiVersion >= 3) {
    const { clientSoftwareName, clientSoftwareVersion } = request
    if (!softwareName.test(clientSoftwareName) || !softwareName.test(clientSoftwareVersion)) {
      return { errorCode: invalidRequest }
    }
  }
  return { apiKeys: advertised }
}
