import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync, writeSync } from 'node:fs'
import { silentLogger } from '../../../src/model/logger.ts'
import { randomUuid } from '../../../src/model/uuid.ts'
import { inlineCompute } from '../../../src/runtime/compute.ts'
import type { Runtime } from '../../../src/runtime/runtime.ts'
import type { LogConfig } from '../../../src/segment/logConfig.ts'
import { LogDirectory } from '../../../src/segment/logDirectory.ts'
import { tasks } from '../../../src/segment/tasks.ts'
import { type VerifySummary, verifyDirectory } from '../../../src/segment/verifyDirectory.ts'
import type { Finding } from '../../../src/segment/verifyFindings.ts'
import { batchCodecs } from '../../../src/zerocopy/codecs.ts'
import { append, batchOf, runtime as shared, testConfig } from '../support.ts'

/** The runtime of these tests: tasks run where they are asked for. */
export const runtime: Runtime = {
  ...shared,
  compute: inlineCompute(tasks, { disk: shared.disk, checksum: shared.checksum, codecs: batchCodecs }),
}

/** Segments of a few batches, every batch but a segment's first with an index entry, every append synced. */
export const smallConfig: LogConfig = { ...testConfig, segmentBytes: 700, flush: 'batch' }

/** Opens a data directory whose logs have `smallConfig`. */
export function openDirectory(directory: string): Promise<LogDirectory> {
  return LogDirectory.open(runtime, {
    directory,
    logger: silentLogger,
    nodeId: 1,
    configFor: () => smallConfig,
  })
}

/** Fills `directory`: one log of 24 batches in two epochs, of a producer and of nobody, and an empty one; closed cleanly. */
export async function fillDirectory(directory: string): Promise<void> {
  const opened = await openDirectory(directory)
  const log = await opened.createLog('orders', 0, randomUuid(runtime.random), smallConfig)
  for (let index = 0; index < 24; index++) {
    const isIdempotent = index % 2 === 0
    const producer = isIdempotent ? { producerId: 7, producerEpoch: 0, baseSequence: index } : {}
    const timestampMs = 1_600_000_000_000 + index * 1000
    const values = [`value ${index}`, 'x'.repeat(index)]
    await append(log, batchOf(values, { timestampMs, ...producer }), index < 9 ? 3 : 5)
  }
  await opened.createLog('empty', 0, randomUuid(runtime.random), smallConfig)
  await opened.close()
}

/** What `verifyDirectory` finds. */
export async function verify(
  directory: string,
  judgeTails = true,
): Promise<{ findings: Finding[]; summary: VerifySummary }> {
  const findings: Finding[] = []
  const summary = await verifyDirectory(runtime, directory, {
    judgeTails,
    finding: (finding) => findings.push(finding),
  })
  return { findings, summary }
}

/** Turns over the bits of `mask` in one byte of a file. */
export function flip(path: string, position: number, mask = 0xff): void {
  const file = openSync(path, 'r+')
  const byte = Buffer.alloc(1)
  readSync(file, byte, 0, 1, position)
  byte[0] = byte[0]! ^ mask
  writeSync(file, byte, 0, 1, position)
  closeSync(file)
}

/** Every file below a directory with its bytes and the time it was last changed. */
export function contentsOf(directory: string): ReadonlyMap<string, string> {
  const contents = new Map<string, string>()
  for (const name of readdirSync(directory, { recursive: true }) as string[]) {
    const path = `${directory}/${name}`
    const stat = statSync(path)
    contents.set(name, stat.isFile() ? `${stat.mtimeMs} ${readFileSync(path, 'base64')}` : 'directory')
  }
  return contents
}
