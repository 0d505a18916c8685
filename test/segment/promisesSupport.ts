import type { FlushPolicy } from '../../src/model/flushPolicy.ts'
import { silentLogger } from '../../src/model/logger.ts'
import { randomUuid } from '../../src/model/uuid.ts'
import type { Disk } from '../../src/runtime/disk.ts'
import type { Runtime } from '../../src/runtime/runtime.ts'
import type { Log, LogConfig } from '../../src/segment/log.ts'
import { LogDirectory } from '../../src/segment/logDirectory.ts'
import { checkBatch } from '../../src/segment/recordBatch.ts'
import { readRecords } from '../../src/segment/records.ts'
import { WriteGroup } from '../../src/segment/writeGroup.ts'
import { instantPace, turnPace } from '../../src/testing/diskPace.ts'
import { Medium } from '../../src/testing/medium.ts'
import { SimFileSystem } from '../../src/testing/simFileSystem.ts'
import { SimRandom } from '../../src/testing/simRandom.ts'
import { createSimRuntime, type SimRuntime } from '../../src/testing/simRuntime.ts'
import type { DiskFaults } from '../../src/testing/systemCalls.ts'
import { withCalls } from '../support/withCalls.ts'
import { batchOf, testConfig, valuesOf } from './support.ts'

/** One batch of these tests fills a segment. */
export const smallSegments: Partial<LogConfig> = { segmentBytes: 100 }

/** A simulated disk, and how a process sees it. */
export interface World {
  readonly fs: SimFileSystem
  readonly runtime: SimRuntime
  /** The runtime as the data directory sees it. */
  readonly seen: Runtime
}

/** A world with these faults, or with calls of the disk in place of its own. */
export function worldOf(
  options: {
    fs?: SimFileSystem
    faults?: DiskFaults
    seed?: number
    calls?: (disk: Disk) => Partial<Disk>
  } = {},
): World {
  const fs = options.fs ?? new SimFileSystem()
  const pace = options.seed === undefined ? instantPace : turnPace(new SimRandom(options.seed))
  const faults = options.faults === undefined ? {} : { faults: options.faults }
  const runtime = createSimRuntime(fs, { seed: options.seed ?? 0, pace, ...faults })
  const calls = options.calls?.(runtime.disk) ?? {}
  const disk = withCalls<Disk>(runtime.disk, calls)
  return { fs, runtime, seen: { ...runtime, disk } }
}

/** The configs of these tests under a policy. */
export const configOf = (flush: FlushPolicy, more: Partial<LogConfig> = {}): LogConfig => ({
  ...testConfig,
  ...more,
  flush,
})

/** Opens the data directory with a small journal. */
export function openDirectory({ seen }: World, config = configOf('journal')): Promise<LogDirectory> {
  return LogDirectory.open(seen, {
    directory: '/data',
    logger: silentLogger,
    nodeId: 1,
    journalBytes: 1 << 20,
    journalFileBytes: 64 << 10,
    configFor: () => config,
  })
}

/** Creates the one log. */
export const create = (directory: LogDirectory, world: World, config = configOf('journal')): Promise<Log> =>
  directory.createLog('orders', 0, randomUuid(world.runtime.random), config)

/** Appends each value in a batch of its own, in a group that is not handed over. */
export function groupOf(log: Log, { seen }: World, ...values: string[]): WriteGroup {
  const group = new WriteGroup(seen.disk)
  for (const value of values) {
    const bytes = batchOf([value])
    log.append(checkBatch(bytes, seen.checksum), bytes, 0, group)
  }
  return group
}

/** Appends in one group; resolves when that is flushed. */
export async function append(log: Log, world: World, ...values: string[]): Promise<void> {
  await groupOf(log, world, ...values).submit()
  await log.whenFlushed(log.logEndOffset)
}

/** The power goes: nothing is left that was not synced. */
export function powerCut({ fs, runtime }: World): World {
  runtime.disk.kill()
  runtime.clock.forgetTimers()
  return worldOf({ fs: new SimFileSystem({ medium: new Medium(fs.medium.crashed(() => false)) }) })
}

/** The values of a log, read from its files. */
export async function valuesIn(log: Log, world: World): Promise<string[]> {
  const values: string[] = []
  for (let next = log.logStartOffset; ; ) {
    const found = await log.read(next, 1 << 20, log.flushedOffset, true)
    if (found === null) return values
    const { file, position, lengthBytes } = found.ranges[0]!
    const bytes = new Uint8Array(lengthBytes)
    await world.runtime.disk.file(file.path).read(bytes, position)
    for (let at = 0; at < lengthBytes; ) {
      const batch = Buffer.from(bytes.subarray(at))
      const header = checkBatch(batch.subarray(0, 12 + batch.readInt32BE(8)), world.seen.checksum)
      values.push(...valuesOf([...readRecords(batch.subarray(0, header.sizeBytes))]))
      at += header.sizeBytes
      next = header.lastOffset + 1
    }
  }
}

/** The values of the log as the next process finds them; the code of its error when it is offline. */
export async function found(world: World, config = configOf('journal')): Promise<string[] | string> {
  const directory = await openDirectory(world, config)
  const log = directory.logs.get('orders-0')!
  return log.offline?.code ?? (await valuesIn(log, world))
}
