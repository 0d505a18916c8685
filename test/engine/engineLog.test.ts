import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Compression, encodeRecords, type RecordInput } from '../../src/index.ts'
import { loadAddon } from '../../src/zerocopy/addon.ts'
import { expectCode, open, texts } from './support.ts'

const blob = fc.oneof(fc.constant(null), fc.string({ unit: 'binary' }), fc.uint8Array({ maxLength: 300 }))
const record = fc.record(
  {
    key: blob,
    value: blob,
    headers: fc.array(fc.record({ key: fc.string({ unit: 'grapheme' }), value: blob }), { maxLength: 3 }),
    timestampMs: fc.integer({ min: 0, max: 4_102_444_800_000 }),
  },
  { requiredKeys: ['timestampMs'] },
)

const bytesOf = (input: Uint8Array | string | null | undefined): Buffer | null =>
  input === null || input === undefined ? null : Buffer.from(input as string)

describe('appending and reading', () => {
  test('whatever is appended comes back, record by record, by batch and as a stream', async () => {
    const engine = await open({ flush: 'none' })
    let count = 0
    const batches = fc.array(fc.array(record, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 5 })
    const native: Compression[] = loadAddon().addon === null ? [] : ['snappy', 'lz4', 'zstd']
    const compressions = fc.constantFrom<Compression>('none', 'gzip', ...native)
    await fc.assert(
      fc.asyncProperty(batches, compressions, async (appends, compression) => {
        const log = await engine.log(`log-${count++}`, { compression })
        await Promise.all(appends.map((records) => log.append(records)))
        const expected = appends.flat().map((input: RecordInput, offset) => ({
          offset,
          timestampMs: input.timestampMs,
          key: bytesOf(input.key),
          value: bytesOf(input.value),
          headers: ((input.headers ?? []) as { key: string; value: string | null }[]).map(
            ({ key, value }) => ({
              key,
              value: bytesOf(value),
            }),
          ),
        }))
        const plain = ({ offset, timestampMs, key, value, headers }: (typeof expected)[number]) => ({
          offset,
          timestampMs,
          key: key && Buffer.from(key),
          value: value && Buffer.from(value),
          headers: headers.map((header) => ({
            key: header.key,
            value: header.value && Buffer.from(header.value),
          })),
        })
        const singly = []
        for await (const found of log.read()) singly.push(plain(found as never))
        expect(singly).toEqual(expected)
        const batchwise = []
        for await (const { baseOffset, lastOffset, records } of log.readBatches()) {
          expect([records[0]!.offset, records.at(-1)!.offset]).toEqual([baseOffset, lastOffset])
          batchwise.push(...records.map((found) => plain(found as never)))
        }
        expect(batchwise).toEqual(expected)
        const streamed = []
        for await (const found of log.stream()) streamed.push(plain(found as never))
        expect(streamed).toEqual(expected)
      }),
      { numRuns: 25 },
    )
  })

  test('a record has its value as text and as JSON, its key and headers as text', async () => {
    const log = await (await open()).log('orders')
    await log.append({ key: 'ключ', value: '{"a":[1]}', headers: { trace: 'x', none: null } })
    await log.append({})
    const found = []
    for await (const each of log.read()) {
      found.push([each.keyText(), each.text(), each.json(), each.header('trace'), each.header('none')])
    }
    expect(found).toEqual([
      ['ключ', '{"a":[1]}', { a: [1] }, 'x', null],
      [null, null, null, null, null],
    ])
  })

  test('one append is one batch, and says where it lies and what was promised', async () => {
    const engine = await open({ flush: 'batch' })
    const durable = await engine.log('a')
    const relaxed = await engine.log('b', { flush: 'none' })
    const ack = { baseOffset: 0, lastOffset: 1, duplicate: false }
    const two = [{ value: '1' }, { value: '2' }]
    expect(await durable.append(two)).toEqual({ ...ack, survives: 'powerLoss', policy: 'batch' })
    expect(await relaxed.append(two)).toEqual({ ...ack, survives: 'processKill', policy: 'none' })
    expect(await relaxed.append({ value: '3' })).toMatchObject({ baseOffset: 2, lastOffset: 2 })
    const batches = []
    for await (const { baseOffset, lastOffset } of relaxed.readBatches())
      batches.push([baseOffset, lastOffset])
    expect(batches).toEqual([
      [0, 1],
      [2, 2],
    ])
  })

  test('a log sets the time of its appends when it is told to', async () => {
    const log = await (await open()).log('timed', { timestamps: 'logAppendTime' })
    const before = Date.now()
    await log.append({ value: 'a', timestampMs: 5 })
    for await (const { timestampMs } of log.read()) expect(timestampMs).toBeGreaterThanOrEqual(before)
    expect.assertions(1)
  })

  test('an append that expects another end is refused and changes nothing', async () => {
    const log = await (await open()).log('aggregate')
    const results = await Promise.allSettled([
      log.append({ value: 'first' }, { expectedOffset: 0 }),
      log.append({ value: 'late' }, { expectedOffset: 0 }),
      log.append({ value: 'second' }, { expectedOffset: 1 }),
    ])
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect((results[1] as PromiseRejectedResult).reason).toMatchObject({ code: 'conflict' })
    expect(await texts(log)).toEqual(['first', 'second'])
  })
})

describe('ready batches', () => {
  test('are taken as they are, also from another log', async () => {
    const engine = await open()
    const [from, to] = [await engine.log('from'), await engine.log('to', { compression: 'gzip' })]
    await from.append([{ value: 'a' }, { value: 'b' }])
    await from.append({ value: 'c' })
    await to.append({ value: 'before' })
    for await (const { bytes } of from.readBatches()) {
      const before = Buffer.from(bytes)
      await to.append(bytes)
      expect(before.equals(bytes)).toBe(true)
    }
    expect(await texts(to)).toEqual(['before', 'a', 'b', 'c'])
  })

  test('of an idempotent producer are there once, however often they are sent', async () => {
    const directory = (await open()).directory
    const engine = await open({ directory: `${directory}/inner` })
    const log = await engine.log('orders')
    const batch = (sequence: number, text: string) =>
      encodeRecords([{ value: text }], { producer: { id: 7, sequence } })
    const [first, again] = await Promise.all([log.append(batch(0, 'a')), log.append(batch(0, 'a'))])
    expect(first).toMatchObject({ baseOffset: 0, duplicate: false })
    expect(again).toMatchObject({ baseOffset: 0, lastOffset: 0, duplicate: true })
    await expectCode(log.append(batch(5, 'gap')), 'outOfOrderSequenceNumber')
    await log.append(batch(1, 'b'))
    await engine.close()
    const reopened = await (await open({ directory: `${directory}/inner` })).log('orders')
    expect(await reopened.append(batch(1, 'b'))).toMatchObject({ baseOffset: 1, duplicate: true })
    expect(await texts(reopened)).toEqual(['a', 'b'])
  })

  test('that are damaged, or none at all, are refused', async () => {
    const log = await (await open()).log('orders')
    const bytes = encodeRecords([{ value: 'hello' }])
    const flipped = Uint8Array.from(bytes)
    flipped[bytes.length - 2]! ^= 1
    await expectCode(log.append(flipped), 'corruptMessage')
    await expectCode(log.append(Buffer.from('just text')), 'corruptMessage')
    await expectCode(log.append(bytes.subarray(0, 70)), 'corruptMessage')
    await expectCode(log.append(Buffer.concat([bytes, bytes])), 'invalidRecord')
    expect(log.logEndOffset).toBe(0)
  })
})

describe('an append is refused', () => {
  test.each([
    ['records that are none', [] as RecordInput[], 'invalidRecord'],
    ['a value that is neither text nor bytes', { value: 5 as never }, 'malformed'],
    ['a key that is an object', { key: { id: 1 } as never }, 'malformed'],
    ['text in place of a record', 'hello' as never, 'malformed'],
    ['a time that is no number', { timestampMs: Number.NaN }, 'malformed'],
    ['more bytes than a log takes', { value: 'x'.repeat(2000) }, 'messageTooLarge'],
    ['records that are too large together', Array(30).fill({ value: 'x'.repeat(50) }), 'messageTooLarge'],
    ['a ready batch that is too large', encodeRecords([{ value: 'x'.repeat(2000) }]), 'messageTooLarge'],
  ])('for %s, and the next one is taken', async (_what, input, code) => {
    const log = await (await open({ maxAppendBytes: 1024 })).log('orders')
    const [refused, taken] = await Promise.allSettled([log.append(input), log.append({ value: 'fine' })])
    expect(refused).toMatchObject({ status: 'rejected', reason: { code } })
    expect(taken).toMatchObject({ status: 'fulfilled', value: { baseOffset: 0 } })
    expect(await texts(log)).toEqual(['fine'])
  })

  test('the limit counts bytes as they are stored', async () => {
    const log = await (await open({ maxAppendBytes: 1024, compression: 'gzip' })).log('orders')
    await log.append({ value: 'x'.repeat(50_000) })
    expect((await texts(log))[0]).toHaveLength(50_000)
  })
})

describe('a log', () => {
  test('is cut where it is told to, and goes on there', async () => {
    const log = await (await open()).log('orders')
    for (const value of ['a', 'b', 'c']) await log.append({ value })
    await log.append([{ value: 'd' }, { value: 'e' }])
    expect(await log.truncate(4)).toBe(3)
    expect(await texts(log)).toEqual(['a', 'b', 'c'])
    expect(await log.truncate(1)).toBe(1)
    expect(await log.append({ value: 'f' })).toMatchObject({ baseOffset: 1 })
    expect(await texts(log)).toEqual(['a', 'f'])
    await expectCode(log.truncate(9), 'offsetOutOfRange')
  })

  test.each([Number.NaN, 0.5, Number.POSITIVE_INFINITY, '1' as never])('is not cut at %s', async (offset) => {
    const log = await (await open()).log('orders')
    await expectCode(log.truncate(offset), 'invalidConfig')
    await expectCode(log.deleteRecordsBefore(offset), 'invalidConfig')
  })

  test('forgets the records below an offset', async () => {
    const log = await (await open()).log('orders')
    for (const value of ['a', 'b', 'c']) await log.append({ value })
    await log.deleteRecordsBefore(2)
    expect(log.logStartOffset).toBe(2)
    expect(await texts(log)).toEqual(['c'])
    await expectCode(texts(log, { from: 1 }), 'offsetOutOfRange')
    await expectCode(log.deleteRecordsBefore(4), 'offsetOutOfRange')
  })

  test('flush makes everything durable that was appended, also what is still under way', async () => {
    const log = await (await open({ flush: 'none' })).log('orders')
    const appended = log.append([{ value: 'a' }, { value: 'b' }])
    expect(await log.flush()).toBe(2)
    expect(log.flushedOffset).toBe(2)
    expect(await appended).toMatchObject({ lastOffset: 1 })
  })

  test.each([0, 1, 2, 3])(
    'appends %i turns after truncate was called are refused, not cut',
    async (turns) => {
      const log = await (await open()).log('orders')
      for (let index = 0; index < 10; index++) await log.append({ value: String(index) })
      const cut = log.truncate(5)
      for (let turn = 0; turn < turns; turn++) await null
      await expectCode(log.append({ value: 'meanwhile' }), 'kafkaStorageError')
      expect(await cut).toBe(5)
      expect(await texts(log)).toEqual(['0', '1', '2', '3', '4'])
    },
  )

  test('changes its policy while it is in use', async () => {
    const log = await (await open({ flush: 'none' })).log('orders')
    expect(await log.append({ value: 'a' })).toMatchObject({ survives: 'processKill' })
    const durable = log.configure({ flush: 'batch' })
    expect(durable.flushPolicy).toBe('batch')
    expect(await durable.append({ value: 'b' })).toMatchObject({ survives: 'powerLoss', policy: 'batch' })
    expect(await texts(log)).toEqual(['a', 'b'])
  })

  test('that is deleted leaves its name free and nothing behind', async () => {
    const engine = await open()
    const log = await engine.log('orders')
    await log.append({ value: 'old' })
    await Promise.all([log.delete(), engine.log('orders').then((next) => next.append({ value: 'new' }))])
    await expectCode(log.append({ value: 'late' }), 'closed')
    await expectCode(log.delete(), 'closed')
    expect(await texts(await engine.log('orders'))).toEqual(['new'])
  })
})
