import type { Outcome } from '../../controller/commands.ts'
import { EngineError } from '../../model/errors.ts'
import type { apiKeys } from '../../protocol/apiKeys.ts'
import type { Handler } from '../dispatch.ts'
import { type Services, wireError } from '../services.ts'
import { outcomesOf } from './changes.ts'

type Apis = typeof apiKeys

/** The most that one answer describes: all configs of some 3,000 topics. */
const maxDescribed = 100_000

/**
 * DescribeConfigs of topics and of this broker. A resource that is named twice is described once, for all keys
 * asked for: a name of a few bytes stands for kilobytes of answer. What is too much is refused with 42.
 */
export const handleDescribeConfigs: Handler<Apis['describeConfigs']> = (services, _context, request) => {
  const { includeSynonyms, includeDocumentation } = request
  let described = 0
  const results = eachOnce(request.resources).map((resource) => {
    const { resourceType, resourceName } = resource
    try {
      if (described >= maxDescribed)
        throw new EngineError('invalidRequest', 'Ask for fewer resources at once.')
      const configs = services.controller.describeConfigs(resource).map((entry) => ({
        ...entry,
        synonyms: includeSynonyms ? entry.synonyms : [],
        documentation: includeDocumentation ? entry.documentation : null,
      }))
      described += configs.length
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
  const change = services.controller.alterConfigs(resources, { validateOnly })
  const outcomes = await outcomesOf(resources.length, change)
  return { responses: answers(services, resources, outcomes) }
}

/** IncrementalAlterConfigs: single entries. */
export const handleIncrementalAlterConfigs: Handler<Apis['incrementalAlterConfigs']> = async (
  services,
  _context,
  { resources, validateOnly },
) => {
  const change = services.controller.incrementalAlterConfigs(resources, { validateOnly })
  const outcomes = await outcomesOf(resources.length, change)
  return { responses: answers(services, resources, outcomes) }
}

interface Resource {
  readonly resourceType: number
  readonly resourceName: string
}

/** Each resource once, with the keys of all its entries; null and none stand for all keys. */
function eachOnce<R extends Resource & { readonly configurationKeys: readonly string[] | null }>(
  resources: readonly R[],
): (R & { readonly configurationKeys: readonly string[] | null })[] {
  const keys = new Map<string, { readonly first: R; keys: string[] | null }>()
  for (const resource of resources) {
    const { resourceType, resourceName, configurationKeys } = resource
    const wanted = configurationKeys?.length ? configurationKeys : null
    const known = keys.get(`${resourceType} ${resourceName}`)
    if (!known) {
      keys.set(`${resourceType} ${resourceName}`, { first: resource, keys: wanted && [...wanted] })
    } else if (wanted === null) {
      known.keys = null
    } else {
      for (const key of wanted) known.keys?.push(key)
    }
  }
  return [...keys.values()].map(({ first, keys }) => ({ ...first, configurationKeys: keys }))
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
