import { silentLogger } from '../../../src/model/logger.ts'
import type { Connection } from '../../../src/runtime/network.ts'
import { defaultLogConfig } from '../../../src/segment/logConfig.ts'
import { LogDirectory } from '../../../src/segment/logDirectory.ts'
import { checkBatch } from '../../../src/segment/recordBatch.ts'
import { encodeBatch } from '../../../src/segment/records.ts'
import { WriteGroup } from '../../../src/segment/writeGroup.ts'
import type { Place, Running } from '../../../src/testing.ts'

/** What a node has come to, kept by the test beside the world: it outlives every process. */
export interface Tally {
  /** Offsets below this one were acknowledged. */
  acked: number
  /** Bytes that came from the other node. */
  heard: number
  /** Acknowledged offsets that a start did not find. */
  missing: number
}

/** Appends a record every few milliseconds, and tells the next node of each once it is durable. */
export function storeAndTell(tallies: Map<number, Tally>) {
  return async ({ runtime, nodeId, world, endpointOf }: Place): Promise<Running> => {
    const { clock, network, checksum, disk } = runtime
    const tally = tallies.get(nodeId) ?? { acked: 0, heard: 0, missing: 0 }
    tallies.set(nodeId, tally)
    const config = { ...defaultLogConfig, segmentBytes: 4000, timestampAfterMaxMs: Number.MAX_SAFE_INTEGER }
    const logs = await LogDirectory.open(runtime, {
      directory: '/data',
      logger: silentLogger,
      nodeId,
      journalBytes: 128 << 10,
      journalFileBytes: 32 << 10,
      configFor: () => config,
    })
    const log = logs.logs.get('told-0') ?? (await logs.createLog('told', 0, 'AAAAAAAAAAAAAAAAAAAAAg', config))
    if (log.offline === null) tally.missing = Math.max(tally.missing, tally.acked - log.logEndOffset)
    const listener = await network.listen(endpointOf(nodeId), (connection) =>
      connection.start({
        data: (chunk) => {
          tally.heard += chunk.length
        },
        end: () => connection.end(),
        drain() {},
        close() {},
      }),
    )
    let next: Connection | null = null
    let isClosed = false
    const reach = async (): Promise<void> => {
      try {
        const connection = await network.connect(endpointOf((nodeId % world.nodes.size) + 1), 500)
        next = connection
        connection.start({ data() {}, end: () => connection.end(), drain() {}, close: again })
      } catch {
        again()
      }
    }
    const again = (): void => {
      next = null
      clock.setTimer(50, () => isClosed || void reach())
    }
    void reach()
    log.onAdvance = (flushedOffset) => {
      tally.acked = Math.max(tally.acked, flushedOffset)
      next?.send([Buffer.from(`${flushedOffset};`)])
    }
    const append = (): void => {
      if (isClosed || log.offline !== null) return
      clock.setTimer(10 + runtime.random.below(10), append)
      const records = [{ key: null, value: new Uint8Array(100), timestampMs: clock.wallMs() }]
      const bytes = encodeBatch({ records }, checksum)
      const group = new WriteGroup(disk)
      try {
        log.append(checkBatch(bytes, checksum, 'broker'), bytes, 0, group)
      } catch {}
      group.submit().catch(() => {})
    }
    append()
    return {
      async close() {
        isClosed = true
        await listener.close()
        next?.destroy()
        await logs.close()
      },
    }
  }
}
