import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { silentLogger } from '../src/model/logger.ts'
import { zeroUuid } from '../src/model/uuid.ts'
import { Log } from '../src/segment/log.ts'
import { defaultLogConfig } from '../src/segment/logConfig.ts'
import { checkBatch } from '../src/segment/recordBatch.ts'
import { type BatchCompression, encodeBatch } from '../src/segment/records.ts'
import { WriteGroup } from '../src/segment/writeGroup.ts'
// Compiled with this file: worker threads run it.
import type { runTask } from '../src/worker.ts'
import { batchCodecs } from '../src/zerocopy/codecs.ts'
import { createRuntime } from '../src/zerocopy/nativeRuntime.ts'

/**
 * How fast is a log compacted, and what does the event loop notice of it? Records of 100 bytes with keys of 16, 100 a
 * batch, four records for each key, in segments of 32 MiB. MiB/s of the log before, both passes (keys, rewriting) and the
 * syncs included; the delay of the event loop while it runs, beside that of an idle one. Median of three rounds.
 */
export type Worker = typeof runTask

const totalMiB = 128
const runtime = createRuntime()
const config = {
  ...defaultLogConfig,
  segmentBytes: 32 << 20,
  flush: 'none' as const,
  cleanupPolicy: { delete: false, compact: true },
  fileDeleteDelayMs: 0,
}

async function filled(codec: number): Promise<{ log: Log; directory: string }> {
  const directory = mkdtempSync(join(tmpdir(), 'cordwood-bench-'))
  const log = await Log.open(runtime, {
    directory,
    topicId: zeroUuid,
    config,
    logger: silentLogger,
    recoveryPoint: 0,
    logStartOffset: 0,
    cleanShutdown: true,
    producerIdExpirationMs: 86_400_000,
  })
  const keys = Math.floor(((totalMiB << 20) / 128 / 4) * (codec === 0 ? 1 : 3))
  const compression: BatchCompression = { id: codec, compress: (body) => batchCodecs.compress(codec, body) }
  for (let next = 0; log.sizeBytes < totalMiB << 20; ) {
    const records = Array.from({ length: 100 }, () => {
      const number = (next++ * 7919) % keys
      const key = Buffer.from(String(number).padStart(16, '0'))
      return { key, value: Buffer.from(`${number}`.padEnd(100, 'value ')), timestampMs: 1_700_000_000_000 }
    })
    const bytes = encodeBatch({ records, ...(codec === 0 ? {} : { compression }) }, runtime.checksum)
    const group = new WriteGroup(runtime.disk)
    log.append(checkBatch(bytes, runtime.checksum), bytes, 0, group)
    await group.submit()
  }
  await log.flush()
  return { log, directory }
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!
const delayMs = (delay: ReturnType<typeof monitorEventLoopDelay>): string => {
  return `p50 ${(delay.percentile(50) / 1e6).toFixed(2)}, p99 ${(delay.percentile(99) / 1e6).toFixed(2)}, max ${(delay.max / 1e6).toFixed(2)} ms`
}

const idle = monitorEventLoopDelay({ resolution: 1 })
idle.enable()
await new Promise((resolve) => setTimeout(resolve, 1000))
idle.disable()
console.log(`event loop, idle: ${delayMs(idle)}`)
for (const [name, codec] of [
  ['uncompressed', 0],
  ['lz4', 3],
] as const) {
  const speeds: number[] = []
  let line = ''
  for (let round = 0; round < 3; round++) {
    const { log, directory } = await filled(codec)
    await log.prepareCheckpoint()
    while (log.recoveryPoint < log.flushedOffset && log.segmentCount < 2)
      await new Promise((r) => setTimeout(r, 10))
    const delay = monitorEventLoopDelay({ resolution: 1 })
    delay.enable()
    const started = performance.now()
    const done = await log.compact({
      endOffset: log.flushedOffset,
      maxMapBytes: 128 << 20,
      maxBodyBytes: 64 << 20,
    })
    const seconds = (performance.now() - started) / 1000
    delay.disable()
    speeds.push(done!.bytesBefore / 2 ** 20 / seconds)
    const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`
    line = `${megabytes(done!.bytesBefore)} to ${megabytes(done!.bytesAfter)}, ${done!.recordsRead} records; event loop: ${delayMs(delay)}`
    await log.close({ clean: false })
    rmSync(directory, { recursive: true })
  }
  console.log(
    `${name}: ${median(speeds).toFixed(0)} MiB/s (${speeds.map((speed) => speed.toFixed(0)).join(', ')}); ${line}`,
  )
}
await runtime.compute.close()
await runtime.disk.close()
