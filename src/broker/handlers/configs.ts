import type { Outcome } from '../../controller/commands.ts'
import { EngineError } from '../../model/errors.ts'
import type { apiKeys } from '../../protocol/apiKeys.ts'
import type { Handler } from '../dispatch.ts'
import { type Services, wireError } from '../services.ts'

type Apis = typeof apiKeys

/** DescribeConfigs of topics and of this broker. */
export const handleDescribeConfigs: Handler<Apis['describeConfigs']> = (services, _context, request) => {
  const { includeSynonyms, includeDocumentation } = request
  const results = request.resources.map((resource) => {
    const { resourceType, resourceName } = resource
    try {
      const configs = services.controller.describeConfigs(resource).map((entry) => ({
        ...entry,
        synonyms: includeSynonyms ? entry.synonyms : [],
        documentation: includeDocumentation ? entry.documentation : null,
      }))
      return { errorMessage: null, resourceType, resourceName, configs }
    } catch (error) {
      return { ...wireError(services, error), resourceType, resourceName, configs: [] }
    }
  })
  return { results }
}

/** AlterConfigs: what is not named goes back to its default. */
export const handleAlterConfigs: Handler<Apis['alterConfigs']> = async (
  services,
  _context,
  { resources, validateOnly },
) => {
  const outcomes = await services.controller.alterConfigs(resources, { validateOnly })
  return { responses: answers(services, resources, outcomes) }
}

/** IncrementalAlterConfigs: single entries. */
export const handleIncrementalAlterConfigs: Handler<Apis['incrementalAlterConfigs']> = async (
  services,
  _context,
  { resources, validateOnly },
) => {
  const outcomes = await services.controller.incrementalAlterConfigs(resources, { validateOnly })
  return { responses: answers(services, resources, outcomes) }
}

interface Resource {
  readonly resourceType: number
  readonly resourceName: string
}

function answers(
  services: Services,
  resources: readonly Resource[],
  outcomes: readonly Outcome<null>[],
): (Resource & { readonly errorCode: number; readonly errorMessage: string | null })[] {
  return resources.map(({ resourceType, resourceName }, index) => {
    const outcome = outcomes[index]
    const error = outcome instanceof EngineError ? wireError(services, outcome) : null
    return {
      errorCode: error?.errorCode ?? 0,
      errorMessage: error?.errorMessage ?? null,
      resourceType,
      resourceName,
    }
  })
}
