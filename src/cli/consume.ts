import type { Command } from 'commander'
import { EngineError } from '../model/errors.ts'
import { readRecords } from '../segment/records.ts'
import type { Client } from './client.ts'
import { decompressBody } from './codecs.ts'
import { addConnectOptions, type ConnectOptions, withClient } from './connect.ts'
import { type Assignment, Consumer, type FetchedBatch } from './consumer.ts'
import { UsageError } from './failure.ts'
import { listOffsets } from './offsets.ts'
import { collect, parseTimestamp, wholeNumber } from './options.ts'
import { OutputBuffer } from './outputBuffer.ts'
import {
  type ConsumedRecord,
  formatFields,
  jsonFormatter,
  type RecordFormatter,
  templateFormatter,
} from './recordFormat.ts'
import type { Terminal } from './terminal.ts'

interface ConsumeOptions extends ConnectOptions {
  readonly from: string
  readonly partition?: readonly number[]
  readonly count?: number
  readonly follow?: true
  readonly json?: true
  readonly format?: string
  readonly base64?: true
  readonly quiet?: true
}

const fetchOptions = { maxBytes: 8 * 1024 * 1024, partitionMaxBytes: 1024 * 1024, maxWaitMs: 500 }

const examples = `
Examples:
  $ cordwood consume greetings
  $ cordwood consume orders --follow --from latest
  $ cordwood consume orders --from 2026-01-31T12:00:00Z --json
  $ cordwood consume orders --partition 0 --from 1000 --count 10
  $ cordwood consume orders --format '%p/%o %k = %v\\n'

Fields of --format: ${Object.entries(formatFields)
  .map(([field, meaning]) => `%${field} ${meaning}`)
  .join(', ')}.
Escapes: \\n \\t \\r \\0 \\\\ %%. Without --json or --format the value is printed, and a line feed.
Without --follow it ends at what is there when it starts. Records of one partition come in the order of their
offsets; no group is joined and nothing is committed.`

/** `consume`: records on standard output. */
export function defineConsume(command: Command, terminal: Terminal): void {
  addConnectOptions(command)
    .argument('<topic...>', 'topics')
    .option(
      '--from <where>',
      'earliest, latest, an offset, or a time (ISO 8601, or @ and milliseconds)',
      'earliest',
    )
    .option('-p, --partition <n>', 'only this partition; repeatable', collect(wholeNumber(0)))
    .option('-c, --count <n>', 'end after n records', wholeNumber(1))
    .option('-f, --follow', 'wait for new records until interrupted')
    .option('--json', 'one JSON object a line: topic, partition, offset, timestamp, key, value, headers')
    .option('--format <text>', 'print each record like this; see below')
    .option('--base64', 'print keys and values as base64: any bytes')
    .option('-q, --quiet', 'no notes on standard error')
    .addHelpText('after', examples)
    .action((topics: string[], options: ConsumeOptions) => consume(topics, options, terminal))
}

async function consume(
  topics: readonly string[],
  options: ConsumeOptions,
  terminal: Terminal,
): Promise<void> {
  const note = (text: string): void => {
    if (!options.quiet) terminal.note(`cordwood: ${text}`)
  }
  const formatter = formatterFor(options, note)
  const start = startOf(options.from)
  const signal = terminal.interruptible()
  const { createNodeRuntime } = await import('../runtime/node/nodeRuntime.ts')
  await withClient(options, async (client) => {
    const assignments = await assign(client, topics, start, options)
    const consumer = new Consumer(client, createNodeRuntime(), assignments, { ...fetchOptions, onNote: note })
    const printed = await print(
      consumer,
      formatter,
      options.count ?? Number.POSITIVE_INFINITY,
      signal,
      terminal,
    )
    if (printed === 0 && !options.follow) note('there are no such records')
  })
}

async function print(
  consumer: Consumer,
  formatter: RecordFormatter,
  count: number,
  signal: AbortSignal,
  terminal: Terminal,
): Promise<number> {
  const output = new OutputBuffer(terminal)
  let printed = 0
  try {
    for await (const batch of consumer.batches(signal)) {
      for (const record of recordsOf(batch)) {
        printed += 1
        if (output.add(formatter(record))) await output.flush()
        if (printed === count || signal.aborted) return printed
      }
      await output.flush()
    }
  } finally {
    await output.flush()
  }
  return printed
}

function* recordsOf({ topic, partition, bytes, fromOffset }: FetchedBatch): Generator<ConsumedRecord> {
  try {
    for (const record of readRecords(bytes, decompressBody)) {
      if (record.offset >= fromOffset) yield { topic, partition, ...record }
    }
  } catch (error) {
    if (!(error instanceof EngineError)) throw error
    throw new EngineError(
      error.code,
      `cannot read the batch of ${topic}-${partition} at offset ${fromOffset}: ${error.message}`,
      { cause: error },
    )
  }
}

/** Where reading begins: `earliest`, `latest`, an offset, or a timestamp in milliseconds. */
export type Start = 'earliest' | 'latest' | { readonly offset: number } | { readonly timestampMs: number }

/** What `--from` means. Throws `UsageError`. */
export function startOf(text: string): Start {
  if (text === 'earliest' || text === 'latest') return text
  if (/^\d+$/.test(text) && Number.isSafeInteger(Number(text))) return { offset: Number(text) }
  const timestampMs = parseTimestamp(text.startsWith('@') ? text.slice(1) : text)
  if (timestampMs !== null) return { timestampMs }
  throw new UsageError(
    `--from ${text}: it must be earliest, latest, an offset such as 1000, or a time such as 2026-01-31T12:00:00Z or @1769860800000`,
  )
}

function formatterFor(options: ConsumeOptions, note: (text: string) => void): RecordFormatter {
  const { json, format, base64 = false } = options
  if (json && format !== undefined) throw new UsageError('--json and --format exclude each other: choose one')
  if (!json) return templateFormatter(format ?? '%v\\n', base64)
  let warned = false
  return jsonFormatter(base64, ({ topic, partition, offset }) => {
    if (!warned)
      note(
        `${topic}-${partition} offset ${offset} is not UTF-8 and cannot be told in JSON text; use --base64`,
      )
    warned = true
  })
}

async function assign(
  client: Client,
  topics: readonly string[],
  start: Start,
  options: ConsumeOptions,
): Promise<Assignment[]> {
  const led = []
  for (const name of new Set(topics)) {
    const topic = await client.topic(name, false)
    const { length } = topic.partitions
    for (const partition of options.partition ?? []) {
      if (partition >= length)
        throw new UsageError(`topic ${name} has no partition ${partition}; they go from 0 to ${length - 1}`)
    }
    for (const { partition, leader } of topic.partitions) {
      if (options.partition?.includes(partition) ?? true) led.push({ topic: name, partition, leader })
    }
  }
  const end = await listOffsets(client, led, 'latest')
  const first =
    typeof start === 'string' ? await listOffsets(client, led, start) : await startOffsets(client, led, start)
  return led.map((partition, index) => {
    const endOffset = end[index]!.offset
    const offset = first[index]!
    // A timestamp younger than every record has no offset: reading begins at the end.
    const position = typeof offset === 'number' ? offset : offset.offset < 0 ? endOffset : offset.offset
    return { ...partition, position, endOffset: options.follow ? null : endOffset }
  })
}

async function startOffsets(
  client: Client,
  led: Parameters<typeof listOffsets>[1],
  start: Exclude<Start, string>,
): Promise<readonly (number | { readonly offset: number })[]> {
  if ('timestampMs' in start) return listOffsets(client, led, start.timestampMs)
  return led.map(() => start.offset)
}
