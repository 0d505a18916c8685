import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Bench } from 'tinybench'
import { silentLogger } from '../src/model/logger.ts'
import { zeroUuid } from '../src/model/uuid.ts'
import type { Disk } from '../src/runtime/disk.ts'
import type { Runtime } from '../src/runtime/runtime.ts'
import { Log } from '../src/segment/log.ts'
import { defaultLogConfig } from '../src/segment/logConfig.ts'
import { checkBatch } from '../src/segment/recordBatch.ts'
import { encodeBatch } from '../src/segment/records.ts'
import { WriteGroup } from '../src/segment/writeGroup.ts'
import { createRuntime } from '../src/zerocopy/nativeRuntime.ts'

/**
 * What does an append cost on the event loop, apart from the disk? The disk here takes every group at once and
 * writes nothing. Prints nanoseconds per batch, median with p10 and p90, for batches of 100-byte records.
 * Node 22.18 and later run this file as it is.
 */

const directory = mkdtempSync(join(tmpdir(), 'cordwood-bench-'))
const real = createRuntime()
const disk: Disk = new Proxy(real.disk, {
  get: (target, name) => {
    if (name === 'submit') return () => Promise.resolve()
    const value: unknown = Reflect.get(target, name, target)
    return typeof value === 'function' ? value.bind(target) : value
  },
})
const runtime: Runtime = { ...real, disk }
const { checksum, clock } = runtime

const bench = new Bench({ time: 500, warmupTime: 250, retainSamples: true })
for (const count of [1, 10, 100, 1000]) {
  const timestampMs = clock.wallMs()
  const records = Array.from({ length: count }, () => ({
    key: null,
    value: Buffer.alloc(90, 97),
    timestampMs,
  }))
  const bytes = encodeBatch({ records }, checksum)
  const log = await Log.open(runtime, {
    directory,
    topicId: zeroUuid,
    config: { ...defaultLogConfig, flush: 'none', segmentBytes: 2 ** 31 - 1 },
    logger: silentLogger,
    recoveryPoint: 0,
    logStartOffset: 0,
    cleanShutdown: true,
    producerIdExpirationMs: 86_400_000,
  })
  bench.add(`check ${count} records`, () => {
    checkBatch(bytes, checksum)
  })
  const header = checkBatch(bytes, checksum)
  bench.add(`append ${count} records`, async () => {
    const group = new WriteGroup(disk)
    log.append(header, bytes, 0, group)
    await group.submit()
  })
}
await bench.run()
console.log(`Node ${process.version}, ${process.arch}; nanoseconds per batch`)
console.table(
  bench.tasks.map(({ name, result }) => {
    if (result.state !== 'completed') throw new Error(`${name} has no result`)
    const samples = result.latency.samples ?? []
    const ns = (share: number): number => Math.round((samples[Math.floor(samples.length * share)] ?? 0) * 1e6)
    return { batch: name, median: ns(0.5), p10: ns(0.1), p90: ns(0.9) }
  }),
)
rmSync(directory, { recursive: true })
process.exit()
