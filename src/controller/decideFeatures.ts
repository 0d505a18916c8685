import { EngineError } from '../model/errors.ts'
import type { Command, CommandResults, Decision } from './commands.ts'
import { bootstrapFeatures, featureLevels } from './decideCluster.ts'
import type { MetadataImage } from './image.ts'
import { decideEach } from './outcomes.ts'

type Of<T extends Command['type']> = Extract<Command, { readonly type: T }>

/** The first records of a new cluster: its feature levels; none if it has any. */
export function decideBootstrapCluster(
  image: MetadataImage,
  { features }: Of<'bootstrapCluster'>,
): Decision<CommandResults['bootstrapCluster']> {
  return { records: image.features.size > 0 ? [] : featureLevels(features), result: null }
}

/** The only version of voter sets: they are in the log, and may change. Source: KIP-853. */
const kraftVersion = 1

/** Feature levels, of which this release knows one each. All or none are set. Errors: `invalidUpdateVersion`. Source: KIP-584. */
export function decideUpdateFeatures(
  image: MetadataImage,
  { updates }: Of<'updateFeatures'>,
): Decision<CommandResults['updateFeatures']> {
  const decision = decideEach(updates, ({ name, level }) => {
    const supported = bootstrapFeatures.get(name) ?? (name === 'kraft.version' ? kraftVersion : undefined)
    if (supported === undefined) {
      throw new EngineError('invalidUpdateVersion', `The controller does not support the feature ${name}.`)
    }
    if (level !== supported) {
      const text = `Invalid update version ${level} for feature ${name}. Only ${supported} is supported.`
      throw new EngineError('invalidUpdateVersion', text)
    }
    // It is of the metadata log, not of what the log says, and every cluster has had it from its beginning.
    const isSet = name === 'kraft.version' || image.features.get(name) === level
    const records = isSet ? [] : featureLevels(new Map([[name, level]]))
    return { records, result: null }
  })
  const isWhole = decision.result.every((outcome) => outcome === null)
  return isWhole ? decision : { records: [], result: decision.result }
}
