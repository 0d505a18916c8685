import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { encodeRecords, openEngine } from '../../src/index.ts'
import { updateChecksum } from '../../src/segment/recordBatch.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { expectCode, machine, open, texts } from './support.ts'

/** Something that only a caller without types can give. */
const untyped = (value: unknown): never => value as never

test('a log may not have the name that makes its directory a broker’s', async () => {
  const directory = temporaryDirectory()
  const engine = await open({ directory })
  await (await engine.log('news')).append({ value: 'precious' })
  await expectCode(engine.log('__cluster_metadata'), 'invalidTopicException')
  await engine.close()
  const again = await open({ directory })
  expect(await texts(await again.log('news'))).toEqual(['precious'])
})

test.each([[5], [null], [undefined], [['orders']]])('%j is no name of a log', async (name) => {
  const engine = await open()
  await expectCode(engine.log(untyped(name)), 'invalidTopicException')
})

describe('what an append promises', () => {
  test('is what its log promised when it was called, also when it waited for room', async () => {
    const engine = await open({ flush: 'journal', maxPendingBytes: 1000 })
    const log = await engine.log('orders')
    const first = log.append({ value: 'x'.repeat(5000) })
    const waiting = log.append({ value: 'important' })
    expect(engine.load.waitingAppends).toBe(1)
    const relaxed = log.configure({ flush: 'none' })
    await first
    expect(await waiting).toMatchObject({ policy: 'journal', survives: 'powerLoss' })
    expect(await relaxed.append({ value: 'less' })).toMatchObject({ policy: 'none', survives: 'processKill' })
  })

  test.each(['batch', 'journal'] as const)(
    'holds for a batch that repeats one from before the policy was %s',
    async (flush) => {
      const engine = await open({ flush: 'none' })
      const log = await engine.log('orders')
      const batch = encodeRecords([{ value: 'x' }], { producer: { id: 7, sequence: 0 } })
      expect(await log.append(batch)).toMatchObject({ survives: 'processKill', duplicate: false })
      const durable = log.configure({ flush })
      expect(await durable.append(batch)).toMatchObject({
        survives: 'powerLoss',
        duplicate: true,
        policy: flush,
      })
    },
  )
})

/** A batch of gzip whose header and body need not agree. */
function compressed(count: number, body: Uint8Array): Uint8Array {
  const plain = Buffer.from(encodeRecords([{ value: 'a' }, { value: 'b' }, { value: 'c' }]))
  const batch = Buffer.concat([plain.subarray(0, 61), body])
  batch.writeInt32BE(batch.length - 12, 8)
  batch.writeInt16BE(1, 21)
  batch.writeInt32BE(count - 1, 23)
  batch.writeInt32BE(count, 57)
  updateChecksum(batch, machine().checksum)
  return batch
}

function recordsOfThree(change: (records: Buffer) => void = () => {}): Buffer {
  const records = Buffer.from(encodeRecords([{ value: 'a' }, { value: 'b' }, { value: 'c' }]).subarray(61))
  change(records)
  return gzipSync(records)
}

test.each<[string, () => Uint8Array, string | null]>([
  ['says what is true', () => compressed(3, recordsOfThree()), null],
  ['says more records', () => compressed(5, recordsOfThree()), 'invalidRecord'],
  ['says fewer records', () => compressed(2, recordsOfThree()), 'invalidRecord'],
  [
    'has other offsets',
    () =>
      compressed(
        3,
        recordsOfThree((bytes) => bytes.writeUInt8(54, 3)),
      ),
    'invalidRecord',
  ],
  ['is not gzip', () => compressed(3, Buffer.from('not gzip')), 'corruptMessage'],
  ['is too large inside', () => compressed(3, gzipSync(Buffer.alloc(100 << 20))), 'messageTooLarge'],
])('a compressed batch that %s', async (_, batch, code) => {
  const log = await (await open()).log('orders')
  if (code === null) expect(await log.append(batch())).toMatchObject({ baseOffset: 0, lastOffset: 2 })
  else await expectCode(log.append(batch()), code)
  await log.append({ value: 'after' })
  expect((await texts(log)).at(-1)).toBe('after')
})

test.each<[string, unknown]>([
  ['bytes in a list', [Buffer.from('hello')]],
  ['a list in a list', [[{ value: 'x' }]]],
  ['a Map', new Map()],
  ['a Set', new Set()],
  ['nothing', null],
  ['a header whose key is memory', { value: 'x', headers: [{ key: new ArrayBuffer(200), value: 'v' }] }],
  ['a header whose key is a number', { value: 'x', headers: [{ key: 5, value: 'v' }] }],
  ['a header that is nothing', { value: 'x', headers: [null] }],
  ['headers as a Map', { value: 'x', headers: new Map([['a', 'b']]) }],
  ['headers as text', { value: 'x', headers: 'abc' }],
  ['headers that are null', { value: 'x', headers: null }],
])('%s is no record, and nothing is appended', async (_, input) => {
  const log = await (await open()).log('orders')
  await expectCode(log.append(untyped(input)), 'malformed')
  expect(log.logEndOffset).toBe(0)
  expect(() => encodeRecords(untyped([input]))).toThrow(expect.objectContaining({ code: 'malformed' }))
})

test('a compacted log says of what is no record that it has no key', async () => {
  const log = await (await open()).log('orders', { cleanupPolicy: 'compact' })
  await expectCode(log.append(untyped(null)), 'invalidRecord')
})

test('times of one batch that are too far apart to be told exactly are refused', async () => {
  const log = await (await open()).log('orders')
  await expectCode(log.append([{ timestampMs: 2 ** 52 + 10 }, { timestampMs: -5 }]), 'malformed')
  await log.append([{ timestampMs: 2 ** 52 - 6 }, { timestampMs: -5 }])
  const times: number[] = []
  for await (const { timestampMs } of log.read()) times.push(timestampMs)
  expect(times).toEqual([2 ** 52 - 6, -5])
})

test('options and settings that there are not are refused with a code', async () => {
  const engine = await open()
  const log = await engine.log('orders')
  await expectCode(
    Promise.resolve().then(() => log.append({ value: 'x' }, untyped({ expectedOfset: 99 }))),
    'invalidConfig',
  )
  await expectCode(engine.log('more', untyped(null)), 'invalidConfig')
  await expectCode(engine.log('more', untyped({ segmentBytes: 5n })), 'invalidConfig')
  await expectCode(log.offsetForTimestamp(Number.NaN), 'invalidConfig')
  expect(() => log.configure(untyped(null))).toThrow(expect.objectContaining({ code: 'invalidConfig' }))
  expect(() => encodeRecords(untyped({}))).toThrow(expect.objectContaining({ code: 'malformed' }))
})

test('an append that is refused begins no group', async () => {
  const { subscribe, unsubscribe } = await import('node:diagnostics_channel')
  const groups: number[] = []
  const note = (message: unknown): void => void groups.push((message as { appends: number }).appends)
  subscribe('cordwood:flush', note)
  try {
    const engine = await openEngine({ directory: temporaryDirectory(), journalBytes: 2 << 20 })
    const log = await engine.log('orders')
    const late = encodeRecords([{ value: 'x' }], { producer: { id: 7, sequence: 5 } })
    await log.append(encodeRecords([{ value: 'x' }], { producer: { id: 7, sequence: 0 } }))
    await expectCode(log.append(late), 'outOfOrderSequenceNumber')
    await log.append({ value: 'y' })
    await engine.close()
    expect(groups).toEqual([1, 1])
  } finally {
    unsubscribe('cordwood:flush', note)
  }
})

test.each([{ expectedOffset: Number.NaN }, { expectedOffset: '0' }, { signal: {} }])(
  'an append with %o is refused as a wrong call, not as a conflict',
  async (options) => {
    const log = await (await open()).log('orders')
    await expectCode(log.append({ value: 'a' }, untyped(options)), 'invalidConfig')
  },
)
