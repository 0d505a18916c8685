import { expect, onTestFinished, test } from 'vitest'
import { NodeReader, type ReaderGroup } from '../../src/engine/nodeReader.ts'
import type { EngineLog } from '../../src/index.ts'
import { encodeBatch } from '../../src/segment/records.ts'
import { implementations } from '../contract/implementations.ts'
import { machine, open } from './support.ts'

const withAddon = implementations.some(({ name }) => name === 'native')

/** What counts the turns that the event loop has from now on. */
function turnCounter(): () => number {
  let turns = 0
  let immediate = setImmediate(function turn() {
    turns++
    immediate = setImmediate(turn)
  })
  onTestFinished(() => clearImmediate(immediate))
  return () => turns
}

const codec = withAddon ? 'zstd' : 'gzip'
const value = Buffer.alloc(1_000_000, 'a log is a sequence of records. ')

/** A log of 40 MB that is in memory. */
async function logOf(compression: 'none' | typeof codec): Promise<EngineLog> {
  const log = await (await open({ journalBytes: 64 << 20 })).log('orders', { compression })
  await Promise.all(Array.from({ length: 40 }, () => log.append({ value })))
  return log
}

test.each(['none', codec] as const)(
  'timers fire while a log in memory is read: compression %s',
  async (compression) => {
    const log = await logOf(compression)
    const turns = turnCounter()
    let found = 0
    for await (const record of log.read()) found += record.value!.length
    expect(found).toBe(40 * value.length)
    expect(turns()).toBeGreaterThan(4)
  },
)

test('a read of what is in memory ends once a timer aborts it', async () => {
  const log = await logOf(codec)
  const control = new AbortController()
  const reason = new Error('enough')
  setImmediate(() => control.abort(reason))
  const reading = (async () => {
    for await (const record of log.read({ signal: control.signal })) record.text()
  })()
  await expect(reading).rejects.toBe(reason)
})

test('timers fire while a partition in memory is read', async () => {
  const { clock, checksum } = machine()
  const record = { key: null, value, timestampMs: 0 }
  const group = {
    highWatermark: 40,
    log: { logStartOffset: 0 },
    read: (baseOffset: number) => [encodeBatch({ records: [record], baseOffset }, checksum)],
    watch: () => () => {},
  } satisfies Partial<ReaderGroup> as unknown as ReaderGroup
  const reader = new NodeReader(
    {},
    {
      name: 'orders',
      clock,
      checksum,
      decompress: (_, body) => body,
      begin: async () => ({ group, end: 40 }),
      ended: () => null,
      onEnd: () => () => {},
    },
  )
  const turns = turnCounter()
  let found = 0
  while ((await reader.next()) !== null) found++
  expect(found).toBe(40)
  expect(turns()).toBeGreaterThan(4)
})
