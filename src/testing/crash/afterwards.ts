import type { Log } from '../../segment/log.ts'
import { checkBatch } from '../../segment/recordBatch.ts'
import { encodeBatch } from '../../segment/records.ts'
import { WriteGroup } from '../../segment/writeGroup.ts'
import { SimFileSystem } from '../simFileSystem.ts'
import type { LogHistory } from './history.ts'
import { readAll, Violation } from './oracle.ts'
import type { SimProcess } from './world.ts'

/**
 * Appends to every durable log of an engine that has recovered, takes the power, and looks whether everything is as it
 * was: what recovery left in the files must not come up behind what is appended later.
 */
export async function checkAfterwards(
  engine: SimProcess,
  logs: readonly LogHistory[],
  reopen: (fs: SimFileSystem) => SimProcess,
): Promise<void> {
  const { disk, checksum } = engine.runtime
  const expected = new Map<string, Uint8Array>()
  for (const [name, log] of engine.directory.logs) {
    const history = logs.find(({ topicId }) => topicId === log.topicId)
    if (history === undefined || log.offline !== null) continue
    const bytes = Uint8Array.from(lostBatch(history, log) ?? encodeBatch({ records: [record] }, checksum))
    const group = new WriteGroup(disk)
    const header = checkBatch(bytes, checksum, 'broker')
    if (header.producerId >= 0) continue
    const { survives } = log.append(header, bytes, Math.max(0, log.leaderEpochs.latestEpoch), group)
    await engine.settle(Promise.all([group.submit(), log.whenFlushed(log.logEndOffset)]))
    if (survives === 'powerLoss') expected.set(name, await engine.settle(readAll(disk, log)))
  }
  engine.kill()
  const next = reopen(new SimFileSystem({ image: engine.options.fs.medium.crashed(() => false) }))
  try {
    const directory = await next.settle(next.open())
    for (const [name, content] of expected) {
      const log = directory.logs.get(name)
      if (log === undefined || log.offline !== null) {
        throw new Violation(
          `the log ${name} recovered, was appended to, and is not there after the next crash`,
        )
      }
      if (Buffer.compare(await next.settle(readAll(next.runtime.disk, log)), content) !== 0) {
        throw new Violation(
          `the log ${name} recovered, was appended to, and has other bytes after the next crash`,
        )
      }
    }
  } finally {
    next.kill()
  }
}

const record = { key: Buffer.from('key 0'), value: Buffer.from('afterwards'), timestampMs: 1_700_000_000_000 }

/** The batch that was at the log's end before: as long, so that what may lie behind it still fits. */
function lostBatch(history: LogHistory, log: Log): Uint8Array | null {
  for (const { batches } of history.versions.toReversed()) {
    const lost = batches.find(({ baseOffset }) => baseOffset === log.logEndOffset)
    if (lost !== undefined) return lost.bytes
  }
  return null
}
