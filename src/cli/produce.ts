import { createReadStream } from 'node:fs'
import { type Command, Option } from 'commander'
import { EngineError } from '../model/errors.ts'
import { batchCompression, type CodecName, codecNames } from './codecs.ts'
import { addConnectOptions, type ConnectOptions, withClient } from './connect.ts'
import { ExitCode, ExitWith, UsageError } from './failure.ts'
import { unlessAborted } from './interrupt.ts'
import { collectPair, parseBytes, wholeNumber } from './options.ts'
import { type Partitioner, partitioners } from './partitioners.ts'
import { type InputFormat, parseRecord, splitLines } from './produceInput.ts'
import { Producer, type ProducerOptions } from './producer.ts'
import type { Terminal } from './terminal.ts'

interface ProduceOptions extends ConnectOptions {
  readonly file?: string
  readonly keySeparator?: string
  readonly csvKey?: number
  readonly skipLines: number
  readonly json?: true
  readonly base64?: true
  readonly partition?: number
  readonly header?: readonly (readonly [string, string])[]
  readonly compression: CodecName
  readonly acks: keyof typeof acksValues
  readonly batchBytes: number
  readonly partitioner: Partitioner
  readonly idempotence: boolean
  readonly quiet?: true
}

const acksValues = { all: -1, 1: 1, 0: 0 } as const
/** How long a record waits for company: hardly, when somebody is typing. */
const lingerMs = { typed: 5, piped: 50 } as const
const progressEveryMs = 250

const examples = `
Examples:
  $ echo hello | cordwood produce greetings
  $ printf 'k1:v1\\nk2:v2\\n' | cordwood produce pairs --key-separator :
  $ cordwood produce strikes --file birdstrikes.csv --csv-key 5 --skip-lines 1 --compression zstd
  $ echo '{"key":"k","value":{"n":1},"headers":{"source":"shell"}}' | cordwood produce events --json
  $ cordwood consume one --json | cordwood produce two --json        copy a topic

A line is a record; its line feed is not part of it. With --json a line is an object with the fields key, value,
headers, partition, timestamp (ms or ISO 8601); null or absent is Kafka's null, other than text becomes JSON text.`

/** `produce`: records from lines. */
export function defineProduce(command: Command, terminal: Terminal): void {
  addConnectOptions(command)
    .argument('<topic>', 'the topic; brokers create it if they are set up to')
    .option('-f, --file <path>', 'read from a file instead of standard input')
    .option(
      '-K, --key-separator <text>',
      'what stands between key and value; \\t is a tab. Lines without it have no key',
    )
    .option(
      '--csv-key <n>',
      'the key is column n of a CSV line, from 1; the value is the whole line',
      wholeNumber(1, 10_000),
    )
    .option(
      '--skip-lines <n>',
      'leave out the first n lines, such as the titles of a CSV file',
      wholeNumber(0),
      0,
    )
    .option('--json', 'one JSON object a line, as consume --json prints them')
    .option('--base64', 'keys and values are base64: any bytes')
    .option('-p, --partition <n>', 'send everything to this partition', wholeNumber(0))
    .option('-H, --header <key=value>', 'a header for every record; repeatable', collectPair)
    .addOption(
      new Option('-z, --compression <codec>', 'how batches are compressed')
        .choices(codecNames)
        .default('none'),
    )
    .addOption(
      new Option('--acks <n>', 'who must have a record before it counts')
        .choices(Object.keys(acksValues))
        .default('all'),
    )
    .addOption(
      new Option('--batch-bytes <bytes>', 'send a batch at this size')
        .argParser(parseBytes)
        .default(256 * 1024, '256KiB'),
    )
    .addOption(
      new Option(
        '--partitioner <name>',
        "how a key chooses a partition: murmur2 as Java's client, crc32 as kcat",
      )
        .choices(partitioners)
        .default('murmur2'),
    )
    .option('--no-idempotence', 'retries may store a record twice')
    .option('-q, --quiet', 'no summary')
    .addHelpText('after', examples)
    .action((topic: string, options: ProduceOptions) => produce(topic, options, terminal))
}

async function produce(topic: string, options: ProduceOptions, terminal: Terminal): Promise<void> {
  const format = inputFormat(options)
  const input = options.file === undefined ? terminal.input : await openInput(options.file)
  const interrupted = terminal.interruptible()
  const isTyped = options.file === undefined && terminal.inputIsTerminal
  if (isTyped && terminal.errorIsTerminal) {
    terminal.note(`Type records for topic ${topic}, one a line; end with Ctrl-D.`)
  }
  const { createNodeRuntime } = await import('../runtime/node/nodeRuntime.ts')
  const runtime = createNodeRuntime()
  await withClient(options, async (client) => {
    const startedMs = runtime.clock.monotonicMs()
    const producer = await Producer.open(client, runtime, topic, producerOptions(options, isTyped))
    const secondsSoFar = (): number => (runtime.clock.monotonicMs() - startedMs) / 1000
    let shownMs = startedMs
    let lineNumber = 0
    try {
      for await (const lines of until(interrupted, splitLines(input))) {
        for (const line of lines) {
          lineNumber += 1
          if (lineNumber > options.skipLines) addLine(producer, line, format, lineNumber)
        }
        await producer.room()
        const nowMs = runtime.clock.monotonicMs()
        if (nowMs - shownMs < progressEveryMs || options.quiet) continue
        shownMs = nowMs
        terminal.progress(summary('sent', producer.stats, secondsSoFar()))
      }
    } catch (error) {
      // What stands before a bad line is sent, so that the message tells where to go on.
      if (error instanceof UsageError) await producer.flush()
      if (!options.quiet) terminal.note(summary('sent', producer.stats, secondsSoFar()))
      throw error
    } finally {
      terminal.progress('')
    }
    await producer.flush()
    producer.close()
    if (!options.quiet) terminal.note(summary('sent', producer.stats, secondsSoFar()))
  })
  if (interrupted.aborted) throw new ExitWith(ExitCode.interrupted)
}

function addLine(producer: Producer, line: Uint8Array, format: InputFormat, lineNumber: number): void {
  try {
    producer.add(parseRecord(line, format))
  } catch (error) {
    if (error instanceof UsageError) throw new UsageError(`line ${lineNumber}: ${error.message}`)
    throw error
  }
}

/** Batches of `source` until it ends or `signal` is aborted, whichever is first. */
async function* until<T>(signal: AbortSignal, source: AsyncGenerator<T>): AsyncGenerator<T> {
  for (;;) {
    const next = await unlessAborted(signal, source.next())
    if (next === null || next.done) return
    yield next.value
  }
}

function inputFormat(options: ProduceOptions): InputFormat {
  const { json, keySeparator, csvKey, base64 = false, header = [] } = options
  const ways = [
    json && '--json',
    keySeparator !== undefined && '--key-separator',
    csvKey !== undefined && '--csv-key',
  ]
  const chosen = ways.filter(Boolean)
  if (chosen.length > 1) throw new UsageError(`${chosen.join(' and ')} exclude each other: choose one`)
  if (keySeparator === '') throw new UsageError('--key-separator needs at least one character')
  return {
    kind: json ? 'json' : 'lines',
    keySeparator: keySeparator === undefined ? null : Buffer.from(keySeparator.replaceAll('\\t', '\t')),
    csvKeyColumn: csvKey ?? null,
    base64,
    headers: header.map(([key, value]) => ({ key, value: Buffer.from(value) })),
  }
}

function producerOptions(options: ProduceOptions, isTyped: boolean): ProducerOptions {
  const acks = acksValues[options.acks]
  return {
    acks,
    batchBytes: options.batchBytes,
    compression: batchCompression(options.compression),
    partitioner: options.partitioner,
    partition: options.partition ?? null,
    idempotent: options.idempotence && acks === -1,
    lingerMs: isTyped ? lingerMs.typed : lingerMs.piped,
    deliveryTimeoutMs: options.timeout,
  }
}

/** A stream of the file, opened before anything is sent. */
function openInput(path: string): Promise<AsyncIterable<Uint8Array>> {
  return new Promise((resolve, reject) => {
    const stream = createReadStream(path, { highWaterMark: 256 * 1024 })
    stream.once('open', () => resolve(stream))
    stream.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'ENOENT' ? 'there is no such file' : error.message
      reject(new EngineError('notFound', `cannot read ${path}: ${why}`))
    })
  })
}

function summary(verb: string, stats: Producer['stats'], seconds: number): string {
  const { records, bytes } = stats
  const rate = `${(bytes / 1e6 / Math.max(seconds, 0.001)).toFixed(1)} MB/s`
  return `${verb} ${records} record${records === 1 ? '' : 's'}, ${bytes} bytes in ${seconds.toFixed(2)} s (${rate})`
}
