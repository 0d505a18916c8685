import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { java, type Seen } from './clients.ts'

/** What Kafka's DumpLogSegments says about the segments of a topic. */
export interface Dump {
  /** Every record of the `.log` files, by partition and offset. */
  readonly records: readonly Seen[]
  /** Every batch of the `.log` files. */
  readonly batches: readonly DumpedBatch[]
  /** Lines that complain: mismatches, batches that are not valid, exceptions. */
  readonly complaints: readonly string[]
  /** How many `.index` and `.timeindex` files were compared with their segments. */
  readonly indexes: number
}

/** A batch as DumpLogSegments describes it. */
export interface DumpedBatch {
  readonly partition: number
  readonly codec: string
  readonly baseOffset: number
  readonly lastOffset: number
  readonly isValid: boolean
  /** Who wrote it: `baseSequence: 7 lastSequence: 9 producerId: 3 producerEpoch: 0 partitionLeaderEpoch: 2`. */
  readonly origin: string
}

/**
 * Runs DumpLogSegments with deep iteration over the segments of a topic's partitions 0 to `partitions` - 1,
 * the `.index` and `.timeindex` files of sealed segments included: there it says where they disagree with the log.
 */
export async function dumpTopic(logDirectory: string, topic: string, partitions: number): Promise<Dump> {
  const files: string[] = []
  let indexes = 0
  for (let partition = 0; partition < partitions; partition++) {
    const directory = join(logDirectory, `${topic}-${partition}`)
    const logs = readdirSync(directory)
      .filter((name) => name.endsWith('.log'))
      .sort()
    // The active segment's index may be preallocated (Kafka) or still in memory (here).
    const sealed = logs
      .slice(0, -1)
      .flatMap((name) => ['.index', '.timeindex'].map((end) => name.replace('.log', end)))
    files.push(...[...logs, ...sealed].map((name) => join(directory, name)))
    indexes += sealed.length
  }
  const flags = ['--deep-iteration', '--print-data-log', '--files', files.join(',')]
  const { stdout, stderr } = await java('dumpLogSegments', flags)
  return { ...parse(stdout), complaints: complaints(`${stdout}\n${stderr}`), indexes }
}

const fileLine = /^Dumping .*-(\d+)\/\d{20}\.(?:log|index|timeindex)$/
const batchLine =
  /^baseOffset: (\d+) lastOffset: (\d+) count: \d+ (baseSequence: .*? partitionLeaderEpoch: -?\d+) .* compresscodec: (\w+) .* isvalid: (\w+)/
const recordLine = /^\| offset: (\d+) .*? headerKeys: \[.*?\](?: key: (.*?))?(?: payload: (.*))?$/s

function parse(stdout: string): Pick<Dump, 'records' | 'batches'> {
  const records: Seen[] = []
  const batches: DumpedBatch[] = []
  let partition = -1
  for (const line of stdout.split('\n')) {
    const file = fileLine.exec(line)
    if (file !== null) partition = Number(file[1])
    const batch = batchLine.exec(line)
    if (batch !== null) {
      const [, baseOffset, lastOffset, origin, codec, isValid] = batch
      const offsets = { baseOffset: Number(baseOffset), lastOffset: Number(lastOffset) }
      batches.push({ partition, codec: codec!, ...offsets, isValid: isValid === 'true', origin: origin! })
    }
    const record = recordLine.exec(line)
    if (record !== null) {
      records.push({ partition, offset: Number(record[1]), key: record[2] ?? '', value: record[3] ?? '' })
    }
  }
  return { records, batches }
}

/** It calls the first record of every segment but the first non-consecutive, to -1: that line and its heading do not count. */
function complaints(text: string): string[] {
  const bad = /mismatch|out of order|isvalid: false|exception|corrupt|not found|^\s+\d+ is followed by/i
  return text.split('\n').filter((line) => bad.test(line) && !line.startsWith('| offset:'))
}
