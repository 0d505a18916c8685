import type { EngineError } from '../model/errors.ts'
import { reached } from '../model/reached.ts'
import { accusation, firstAccused } from './accused.ts'
import type { LogFact } from './checkFacts.ts'
import { logFacts } from './checkFiles.ts'
import { checkServed } from './checkServed.ts'
import type { Checks } from './checks.ts'
import { type ClusterNode, dataDirectory } from './clusterProgram.ts'
import { nameOf } from './simClient.ts'
import type { World } from './world.ts'

/**
 * Reads all that is committed from the nodes that were `damaged`: what is damaged is mended when it is read, and what cannot be is
 * known and refused, never served wrong. Whoever serves all that the others have is no longer among `damaged`.
 */
export async function readDamaged(
  world: World<ClusterNode>,
  checks: Checks,
  damaged: Set<number>,
): Promise<void> {
  const sound = [...world.nodes.values()].find(({ id, running }) => running !== null && !damaged.has(id))
  for (const id of [...damaged]) {
    const { running } = world.node(id)
    if (running === null) continue
    let isWhole = true
    for (const [index, group] of running.groups.entries()) {
      if (group.failure !== null) {
        isWhole = false
        continue
      }
      const { commits } = checks.group(nameOf(index))
      const name = `node ${id} (${nameOf(index)})`
      const serves = (): Promise<EngineError | null> =>
        world.settle(checkServed(name, group, (offset) => commits.at(offset)))
      const isKnown = (): boolean =>
        !running.logs.badRanges.isEmpty || group.log.offline !== null || group.failure !== null
      let error = await serves()
      // What the disk could not read may be found readable while others are asked for it.
      if (error !== null && !isKnown()) error = await serves()
      if (error !== null) {
        reached('damageLeft')
        if (!isKnown()) checks.fail('I19', `${name} knows nothing of its damage: ${error.message}`)
      }
      const other = sound?.running?.groups[index]
      const isLevel =
        group.highWatermark === other?.highWatermark && group.log.logEndOffset === group.highWatermark
      if (error !== null || !isLevel) isWhole = false
    }
    if (!isWhole) continue
    reached('damageMended')
    damaged.delete(id)
  }
}

/** What the logs of all nodes must be once all is over; `damaged` and `harmed` as `compareLogs` has them. */
export async function checkLogs(
  world: World<ClusterNode>,
  checks: Checks,
  damaged: ReadonlySet<number>,
  harmed: ReadonlySet<number>,
): Promise<void> {
  compareLogs(world, checks, damaged, harmed)
  await checkAccused(world, checks, harmed)
}

/** I19: no node refuses, or has mended, what nobody has harmed. */
async function checkAccused(
  world: World<ClusterNode>,
  checks: Checks,
  harmed: ReadonlySet<number>,
): Promise<void> {
  for (const { id, running, runtime, fs } of world.nodes.values()) {
    if (running === null || runtime === null || harmed.has(id) || fs.badSectors.wereAny) continue
    for (const [index, { log, failure }] of running.groups.entries()) {
      if (failure !== null || log.offline !== null) continue
      const accused = await world.settle(firstAccused(runtime.disk, log))
      if (accused !== null) checks.fail('I19', `node ${id} (${nameOf(index)}): ${accusation(accused)}`)
    }
  }
}

/**
 * I22: the files of all nodes that run hold the same bytes, but for those that are `damaged`. Of those that were `harmed` that counts
 * from where the log begins: what lies below is read by nobody, and mended by nobody.
 */
function compareLogs(
  world: World<ClusterNode>,
  checks: Checks,
  damaged: ReadonlySet<number>,
  harmed: ReadonlySet<number>,
): void {
  const groups = Math.max(0, ...[...world.nodes.values()].map(({ running }) => running?.groups.length ?? 0))
  for (let group = 0; group < groups; group++) {
    const logs = new Map(
      [...world.nodes.values()]
        .filter(({ id, running }) => running !== null && !damaged.has(id))
        .map(({ id, fs, running }) => {
          const facts = logFacts(fs, `${dataDirectory}/${nameOf(group)}`)
          const { logStartOffset } = running!.groups[group]!.log
          return [id, harmed.has(id) ? fromOffset(facts, logStartOffset) : facts]
        }),
    )
    checks.checkSameLogs(nameOf(group), logs)
  }
}

/** The batches with `offset` and what comes behind it; none where damage that comes before hides them. */
function fromOffset(facts: readonly LogFact[], offset: number): readonly LogFact[] {
  const first = facts.findIndex(({ lastOffset }) => lastOffset >= offset)
  return first < 0 ? [] : facts.slice(first)
}
