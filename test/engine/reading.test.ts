import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { EngineLog } from '../../src/index.ts'
import { expectCode, open, settle, texts } from './support.ts'

async function logOf(values: readonly string[]): Promise<EngineLog> {
  const log = await (await open()).log('orders')
  for (const [index, value] of values.entries()) await log.append({ value, timestampMs: 1000 * index })
  return log
}

/** The next value of an iterator, or "end". */
async function next(records: AsyncIterator<{ text(): string | null }>): Promise<string | null> {
  const { done, value } = await records.next()
  return done ? 'end' : value.text()
}

describe('a read begins', () => {
  const values = ['a', 'b', 'c', 'd']

  test.each([
    ['at the first record unless it is told', {}, 'abcd'],
    ['at an offset', { from: 2 }, 'cd'],
    ['at the start', { from: 'start' as const }, 'abcd'],
    ['at the end', { from: 'end' as const }, ''],
    ['after the last record', { from: 4 }, ''],
    ['at a time', { fromTimestamp: 1001 }, 'cd'],
    ['at the time of a record', { fromTimestamp: 1000 }, 'bcd'],
    ['after the last time', { fromTimestamp: 9000 }, ''],
    ['with one batch at a time', { maxBytes: 1 }, 'abcd'],
  ])('%s', async (_what, options, expected) => {
    expect((await texts(await logOf(values), options)).join('')).toBe(expected)
  })

  test.each([[5], [-1]])('not at %i: there is no such offset', async (from) => {
    await expectCode(texts(await logOf(values), { from }), 'offsetOutOfRange')
    await expectCode(texts(await logOf(values), { from, follow: true }), 'offsetOutOfRange')
  })

  test.each([
    [{ from: 1, fromTimestamp: 1 }],
    [{ from: 0.5 }],
    [{ from: 'middle' as never }],
    [{ from: Number.NaN }],
    [{ fromTimestamp: Number.POSITIVE_INFINITY }],
    [{ maxBytes: 0 }],
    [{ form: 1 } as never],
  ])('not as %j says', async (options) => {
    const log = await logOf([])
    expect(() => log.read(options)).toThrow(expect.objectContaining({ code: 'invalidConfig' }))
  })

  test('in the middle of what was appended at once', async () => {
    const log = await (await open()).log('orders')
    await log.append([{ value: 'a' }, { value: 'b' }, { value: 'c' }])
    expect(await texts(log, { from: 1 })).toEqual(['b', 'c'])
    const batches = []
    for await (const { baseOffset, records } of log.readBatches({ from: 2 })) {
      batches.push([baseOffset, ...records.map(({ offset }) => offset)])
    }
    expect(batches).toEqual([[0, 2]])
  })
})

describe('a read that does not follow', () => {
  test('ends with what was acknowledged when it began', async () => {
    const log = await logOf(['a', 'b'])
    const found: (string | null)[] = []
    for await (const record of log.read()) {
      found.push(record.text())
      await log.append({ value: 'more' })
    }
    expect(found).toEqual(['a', 'b'])
  })

  test('answers calls of next in their order, however many overlap', async () => {
    const records = (await logOf(['a', 'b', 'c'])).read({ maxBytes: 1 })
    expect(await Promise.all([next(records), next(records), next(records), next(records)])).toEqual([
      'a',
      'b',
      'c',
      'end',
    ])
  })

  test('goes through many files', async () => {
    const log = await (await open({ flush: 'none', segmentBytes: 2048, maxAppendBytes: 1024 })).log('orders')
    const values = Array.from({ length: 100 }, (_, index) => `${index}`.padEnd(200))
    for (const value of values) await log.append({ value })
    expect(readdirSync(log.directory).filter((name) => name.endsWith('.log')).length).toBeGreaterThan(10)
    expect(await texts(log)).toEqual(values)
    expect(await texts(log, { from: 37, maxBytes: 500 })).toEqual(values.slice(37))
  })

  test('rejects when the engine is closed before its end, rather than seem complete', async () => {
    const engine = await open()
    const log = await engine.log('orders')
    for (const value of ['a', 'b']) await log.append({ value })
    const records = log.read({ maxBytes: 1 })
    expect(await next(records)).toBe('a')
    await engine.close()
    await expectCode(next(records), 'closed')
    expect(await next(records)).toBe('end')
    expect(() => log.read()).toThrow(expect.objectContaining({ code: 'closed' }))
    expect(() => log.read({ follow: true })).toThrow(expect.objectContaining({ code: 'closed' }))
  })
})

describe('a read that follows', () => {
  test('gives each record once it is acknowledged', async () => {
    const log = await logOf(['a'])
    const records = log.read({ follow: true })
    expect(await next(records)).toBe('a')
    const [second, third] = [next(records), next(records)]
    await log.append([{ value: 'b' }, { value: 'c' }])
    expect([await second, await third]).toEqual(['b', 'c'])
    await records.return?.()
  })

  test('sees nothing of what was there before its beginning', async () => {
    const log = await logOf(['a', 'b'])
    const later = next(log.read({ from: 'end', follow: true }))
    await log.append({ value: 'c' })
    expect(await later).toBe('c')
  })

  test.each(['close', 'delete'] as const)('ends on %s of the log', async (how) => {
    const engine = await open()
    const log = await engine.log('orders')
    const waiting = [next(log.read({ follow: true })), log.stream({ follow: true }).getReader().read()]
    await settle()
    await (how === 'close' ? engine.close() : log.delete())
    expect(await Promise.all(waiting)).toEqual(['end', { done: true, value: undefined }])
  })

  test('ends with the reason of its signal, waiting or not', async () => {
    const log = await logOf(['a'])
    const stop = new AbortController()
    const reason = new Error('enough')
    const records = log.read({ follow: true, signal: stop.signal })
    await next(records)
    const waiting = next(records)
    await settle()
    stop.abort(reason)
    await expect(waiting).rejects.toBe(reason)
    await expect(texts(log, { signal: stop.signal })).rejects.toBe(reason)
  })

  test('lets go when its iterator or its stream is told to end', async () => {
    const log = await logOf([])
    const records = log.read({ follow: true })
    const waiting = next(records)
    await settle()
    await records.return?.()
    expect(await waiting).toBe('end')
    const reader = log.stream({ follow: true }).getReader()
    const read = reader.read()
    await settle()
    await reader.cancel()
    expect(await read).toEqual({ done: true, value: undefined })
  })

  test('is told when the log was cut below it', async () => {
    const log = await logOf(['a', 'b', 'c'])
    const records = log.read({ from: 'end', follow: true })
    const waiting = next(records)
    await settle()
    await log.truncate(1)
    await expectCode(waiting, 'offsetOutOfRange')
  })

  test('is told when what it wants has been removed', async () => {
    const log = await logOf(['a', 'b', 'c'])
    const records = log.read({ follow: true, maxBytes: 1 })
    expect(await next(records)).toBe('a')
    await log.deleteRecordsBefore(3)
    await expectCode(next(records), 'offsetOutOfRange')
  })
})

describe('damage', () => {
  test('is never given out: a read ends before it with file and position, and everybody is told', async () => {
    const told: unknown[] = []
    const listen = (event: unknown): void => void told.push(event)
    subscribe('cordwood:damage', listen)
    onTestFinished(() => void unsubscribe('cordwood:damage', listen))
    const log = await (await open({ flush: 'batch' })).log('orders')
    for (const value of ['intact', 'damaged', 'after']) await log.append({ value })
    const file = join(log.directory, '00000000000000000000.log')
    const bytes = readFileSync(file)
    const at = bytes.indexOf('damaged')
    bytes[at]! ^= 1
    writeFileSync(file, bytes)
    const records = log.read()
    expect(await next(records)).toBe('intact')
    const position = bytes.indexOf('intact') + 'intact'.length + 1
    await expect(next(records)).rejects.toMatchObject({
      name: 'CorruptionError',
      code: 'corruptLog',
      corruption: { file, position },
    })
    expect(told).toMatchObject([{ log: 'orders', file, position, baseOffset: 1, nextOffset: 2 }])
    await expectCode(texts(log, { from: 1 }), 'corruptLog')
    expect(await texts(log, { from: 2 })).toEqual(['after'])
  })
  test('is not mistaken for what a cut does to a read under way', async () => {
    const log = await (await open({ flush: 'none' })).log('orders')
    const codes = new Set<string>()
    for (let round = 0; round < 40; round++) {
      for (let index = 0; index < 5; index++) await log.append({ value: `${round}`.repeat(500 + 97 * index) })
      const read = texts(log).catch(({ code }) => codes.add(code))
      if (round % 2 === 0) await Promise.resolve()
      await Promise.all([log.truncate(1 + (round % 3)), read])
    }
    expect([...codes].filter((code) => code !== 'offsetOutOfRange')).toEqual([])
    expect((await texts(log)).length).toBe(log.logEndOffset)
  })
})
