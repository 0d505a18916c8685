import { describe, expect, test } from 'vitest'
import { silentLogger } from '../../../src/model/logger.ts'
import { randomUuid } from '../../../src/model/uuid.ts'
import type { Log } from '../../../src/segment/log.ts'
import { LogDirectory } from '../../../src/segment/logDirectory.ts'
import { crashChoices, fateOf } from '../../../src/testing/crash/crashStates.ts'
import { settle } from '../../../src/testing/crash/world.ts'
import { emptyImage, Medium, type MediumEvent } from '../../../src/testing/medium.ts'
import { SimFileSystem } from '../../../src/testing/simFileSystem.ts'
import { SimRandom } from '../../../src/testing/simRandom.ts'
import type { SimRuntime } from '../../../src/testing/simRuntime.ts'
import {
  appendBatch,
  committed,
  compactConfig,
  compactingRuntime,
  type FoundBatch,
  filesOf,
  foldOf,
  keyedBatch,
  readThrough,
  stateOf,
} from './support.ts'

const config = { ...compactConfig, segmentBytes: 500, flush: 'journal' as const }
const bounds = { maxMapBytes: 1 << 20, maxBodyBytes: 1 << 20 }

function open(runtime: SimRuntime): Promise<LogDirectory> {
  return LogDirectory.open(runtime, {
    directory: '/data',
    logger: silentLogger,
    nodeId: 1,
    clusterId: 'a-cluster-for-compaction',
    journalBytes: 512 << 10,
    journalFileBytes: 64 << 10,
    configFor: () => config,
  })
}

/** Appends batches of two keys each; the latest value of a key is its greatest number. */
async function fill(log: Log, runtime: SimRuntime, from: number, count: number): Promise<void> {
  for (let index = from; index < from + count; index++) {
    const entries = [
      { key: `k${index % 5}`, value: index % 11 === 10 ? null : `value ${index}` },
      { key: `once ${index}`, value: index % 3 === 0 ? 'kept' : null },
    ]
    await appendBatch(log, runtime, keyedBatch(entries, runtime.clock.wallMs()))
  }
}

function offsetsOf(batches: readonly FoundBatch[]): readonly number[] {
  return batches.flatMap(({ records }) => records.map(({ offset }) => offset))
}

interface Recorded {
  readonly events: readonly MediumEvent[]
  /** When compaction began. */
  readonly from: number
  /** When it had ended, and the offsets of the records that it left. */
  readonly doneAt: number
  readonly left: readonly number[]
  readonly fold: ReadonlyMap<string, string | null>
  readonly logEndOffset: number
  readonly endedMs: number
}

/** A log that is compacted, appended to and compacted again, and everything that reached the medium meanwhile. */
async function recordCompaction(): Promise<Recorded> {
  const events: MediumEvent[] = []
  const runtime = compactingRuntime(new SimFileSystem({ onEvent: (event) => events.push(event) }))
  const work = async (): Promise<Recorded> => {
    const directory = await open(runtime)
    const log = await directory.createLog('keyed', 0, randomUuid(runtime.random), config)
    await fill(log, runtime, 0, 24)
    // Nothing but the journal knows yet what is durable; segments are to be brought together.
    await stateOf(log).sealer.idle()
    log.updateConfig({ ...config, segmentBytes: 1600 })
    const fold = foldOf(committed(await filesOf(log, runtime)))
    const from = events.length
    expect(await log.compact({ ...bounds, endOffset: log.flushedOffset })).not.toBe(null)
    const doneAt = events.length
    const left = offsetsOf(await filesOf(log, runtime))
    await directory.storeCleanedOffsets()
    runtime.clock.advance(5000)
    return {
      events,
      from,
      doneAt,
      left,
      fold,
      logEndOffset: log.logEndOffset,
      endedMs: runtime.clock.wallMs(),
    }
  }
  const recorded = await settle(runtime, work())
  runtime.disk.kill()
  return recorded
}

/** Opens what a crash left, checks it, compacts it, and opens it once more. */
async function checkCrash(recorded: Recorded, moment: number, fs: SimFileSystem): Promise<void> {
  for (let round = 0; round < 2; round++) {
    const runtime = compactingRuntime(fs, recorded.endedMs)
    const check = async (): Promise<void> => {
      const directory = await open(runtime)
      const log = directory.logs.get('keyed-0')!
      expect(log.offline).toBe(null)
      expect(log.logEndOffset).toBe(recorded.logEndOffset)
      const batches = await filesOf(log, runtime)
      const fold = foldOf(committed(batches))
      for (const [key, value] of recorded.fold) {
        if (value !== null || fold.has(key)) expect([key, fold.get(key)]).toEqual([key, value])
      }
      // What was compacted away the journal does not bring back.
      if (round === 0 && moment >= recorded.doneAt) expect(offsetsOf(batches)).toEqual(recorded.left)
      expect((await readThrough(log, runtime, 0)).map(({ offset }) => offset)).toEqual(offsetsOf(batches))
      // Nor do the digests that were stored of other files accuse those that are there.
      for (const { baseOffset } of stateOf(log).segments.all) {
        expect(await log.findDamage(baseOffset)).toBe(false)
      }
      const names = (await runtime.disk.list('/data/keyed-0')).map(({ name }) => name)
      expect(names.filter((name) => /\.(swap|cleaned|deleted)$/.test(name))).toEqual([])
      await log.compact({ ...bounds, endOffset: log.flushedOffset })
      if (round === 0) return
      await directory.close()
    }
    await settle(runtime, check())
    runtime.disk.kill()
  }
}

describe('a crash during compaction', () => {
  test('at any moment, with any of what was not synced lost, leaves every key its latest value and the log readable', async () => {
    const recorded = await recordCompaction()
    const random = new SimRandom(1)
    const medium = new Medium(emptyImage)
    let states = 0
    for (const [index, event] of recorded.events.entries()) {
      if (index >= recorded.from) {
        const names = index % 2 === 0 ? 'journalled' : 'adversarial'
        const choices = crashChoices(medium, names, random, { most: 4, exhaustiveUnits: 2 })
        for (const fates of choices.filter(() => random.chance(0.7))) {
          states++
          const left =
            fates.kill === true ? { medium: medium.clone() } : { image: medium.crashed(fateOf(fates)) }
          await checkCrash(recorded, index, new SimFileSystem(left))
        }
      }
      medium.apply(event)
    }
    expect(states).toBeGreaterThan(100)
  })
})
