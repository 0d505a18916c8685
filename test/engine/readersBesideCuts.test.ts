import { getEventListeners } from 'node:events'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { EngineLog, LogRecord } from '../../src/index.ts'
import { expectCode, open, settle } from './support.ts'

async function emptyLog(): Promise<EngineLog> {
  return (await open()).log('orders')
}

/** Appends `count` records, each by itself, that say what they are and where they stand. */
async function fill(log: EngineLog, what: string, count: number): Promise<void> {
  for (let index = 0; index < count; index++) await log.append({ value: `${what}${log.logEndOffset}` })
}

/** Appends records that say what they are and where they stand, up to the offset `end`, as one batch. */
async function fillAtOnce(log: EngineLog, what: string, end: number): Promise<void> {
  const start = log.logEndOffset
  await log.append(Array.from({ length: end - start }, (_, index) => ({ value: `${what}${start + index}` })))
}

/** The values of the next `count` records. */
async function take(records: AsyncIterator<LogRecord>, count: number): Promise<(string | null)[]> {
  const values: (string | null)[] = []
  for (let index = 0; index < count; index++) {
    const { done, value } = await records.next()
    values.push(done ? 'end' : value.text())
  }
  return values
}

/** As `take`, of a stream. */
async function takeStreamed(
  reader: ReadableStreamDefaultReader<LogRecord>,
  count: number,
): Promise<(string | null)[]> {
  const next = async (): Promise<IteratorResult<LogRecord>> => {
    const { done, value } = await reader.read()
    return done ? { done, value: undefined } : { done: false, value }
  }
  return take({ next }, count)
}

function numbered(what: string, from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, index) => `${what}${from + index}`)
}

describe('a reader, when the log is cut above what it has given,', () => {
  test('gives what took the place of the records that were cut', async () => {
    const log = await emptyLog()
    await fill(log, 'old', 20)
    const records = log.read({ follow: true })
    expect(await take(records, 3)).toEqual(['old0', 'old1', 'old2'])
    await log.truncate(5)
    await fill(log, 'new', 15)
    expect(await take(records, 17)).toEqual(['old3', 'old4', ...numbered('new', 5, 20)])
    await records.return?.()
  })

  test('gives batches in the same way', async () => {
    const log = await emptyLog()
    await fill(log, 'old', 20)
    const batches = log.readBatches({ follow: true })
    const next = async (): Promise<string | null> => (await batches.next()).value.records[0].text()
    for (let offset = 0; offset < 3; offset++) await next()
    await log.truncate(4)
    await fill(log, 'new', 15)
    expect([await next(), await next(), await next()]).toEqual(['old3', 'new4', 'new5'])
    await batches.return?.()
  })

  test('gives records as a stream in the same way', async () => {
    const log = await emptyLog()
    await fill(log, 'old', 20)
    const reader = log.stream({ follow: true }).getReader()
    expect(await takeStreamed(reader, 3)).toEqual(['old0', 'old1', 'old2'])
    await log.truncate(5)
    await fill(log, 'new', 15)
    expect(await takeStreamed(reader, 4)).toEqual(['old3', 'old4', 'new5', 'new6'])
    await reader.cancel()
  })

  test('forgets a batch that it has decoded and given nothing of', async () => {
    const log = await emptyLog()
    await fillAtOnce(log, 'old', 4)
    await fillAtOnce(log, 'old', 8)
    const records = log.read({ follow: true })
    expect(await take(records, 4)).toEqual(numbered('old', 0, 4))
    const [fifth, cut] = [records.next(), log.truncate(4)]
    // Which of the two was first is open; nothing of the old batch comes after both.
    const isEarly = await Promise.race([fifth.then(() => true), cut.then(() => false)])
    await cut
    await fillAtOnce(log, 'new', 8)
    if (isEarly) await expectCode(records.next(), 'offsetOutOfRange')
    else expect((await fifth).value.text()).toBe('new4')
  })

  test('is not disturbed in the middle of a batch that stays', async () => {
    const log = await emptyLog()
    await fillAtOnce(log, 'old', 6)
    await fill(log, 'old', 6)
    const records = log.read({ follow: true })
    expect(await take(records, 2)).toEqual(['old0', 'old1'])
    await log.truncate(9)
    await fill(log, 'new', 2)
    await log.truncate(10)
    await fill(log, 'newer', 1)
    expect(await take(records, 9)).toEqual([...numbered('old', 2, 9), 'new9', 'newer10'])
    await records.return?.()
  })

  test('ends, unless it follows, with what was there when it began', async () => {
    const log = await emptyLog()
    await fill(log, 'old', 20)
    const records = log.read()
    expect(await take(records, 3)).toEqual(['old0', 'old1', 'old2'])
    await log.truncate(5)
    await fill(log, 'new', 15)
    expect(await take(records, 4)).toEqual(['old3', 'old4', 'end', 'end'])
  })

  test('goes on when it waits at the very end', async () => {
    const log = await emptyLog()
    await fill(log, 'old', 5)
    const records = log.read({ follow: true })
    await take(records, 5)
    const waiting = take(records, 1)
    await settle()
    await fill(log, 'new', 3)
    expect(await waiting).toEqual(['new5'])
    await log.truncate(6)
    await fill(log, 'newer', 2)
    expect(await take(records, 2)).toEqual(['newer6', 'newer7'])
    await records.return?.()
  })
})

describe('a reader, when the log is cut below what it has given,', () => {
  test('is told, also when there are others in the place of those records', async () => {
    const log = await emptyLog()
    await fill(log, 'old', 20)
    const readers = [log.read({ follow: true }), log.read()]
    for (const records of readers) expect(await take(records, 8)).toEqual(numbered('old', 0, 8))
    const batches = log.readBatches({ follow: true })
    for (let offset = 0; offset < 8; offset++) await batches.next()
    await log.truncate(5)
    await fill(log, 'new', 20)
    await log.truncate(22)
    for (const records of readers) {
      await expectCode(records.next(), 'offsetOutOfRange')
      expect(await take(records, 1)).toEqual(['end'])
    }
    await expectCode(batches.next(), 'offsetOutOfRange')
  })

  test('is told in the middle of a batch', async () => {
    const log = await emptyLog()
    await fill(log, 'old', 5)
    await fillAtOnce(log, 'old', 20)
    const records = log.read({ follow: true })
    const reader = log.stream({ follow: true }).getReader()
    await Promise.all([take(records, 8), takeStreamed(reader, 8)])
    await log.truncate(6)
    await fill(log, 'new', 20)
    await expectCode(records.next(), 'offsetOutOfRange')
    await expectCode(reader.read(), 'offsetOutOfRange')
  })

  test('is told when it was to begin at an end that is no more', async () => {
    const log = await emptyLog()
    await fill(log, 'old', 5)
    const records = log.read({ from: 'end', follow: true })
    await log.truncate(2)
    await fill(log, 'new', 5)
    await expectCode(records.next(), 'offsetOutOfRange')
  })

  test('is done if it does not follow and has given everything', async () => {
    const log = await emptyLog()
    await fill(log, 'old', 3)
    const records = log.read()
    await take(records, 3)
    await log.truncate(1)
    expect(await take(records, 1)).toEqual(['end'])
  })
})

describe('a reader that follows', () => {
  test.each(['read', 'readBatches'] as const)(
    'of %s is done when it is told to end during its first look',
    async (how) => {
      const log = await emptyLog()
      for (const from of ['start', 'end', 0] as const) {
        const records = log[how]({ follow: true, from })
        const first = records.next()
        await records.return?.()
        expect(await first).toEqual({ done: true, value: undefined })
      }
    },
  )

  test('begins at the end that the log had when it was asked for', async () => {
    const log = await emptyLog()
    await fill(log, 'before', 2)
    const records = log.read({ from: 'end', follow: true })
    const reader = log.stream({ from: 'end', follow: true }).getReader()
    await log.append({ value: 'm' })
    expect(await take(records, 1)).toEqual(['m'])
    expect(await takeStreamed(reader, 1)).toEqual(['m'])
    await Promise.all([records.return?.(), reader.cancel()])
  })
})

describe('an aborted signal', () => {
  test('ends a read in the middle of a batch', async () => {
    const log = await emptyLog()
    await fillAtOnce(log, 'record', 1000)
    const stop = new AbortController()
    const reason = new Error('stop')
    let count = 0
    const reading = (async () => {
      for await (const _ of log.read({ signal: stop.signal })) {
        count++
        stop.abort(reason)
      }
    })()
    await expect(reading).rejects.toBe(reason)
    expect(count).toBe(1)
  })

  test('ends a stream in the middle of a batch', async () => {
    const log = await emptyLog()
    await fillAtOnce(log, 'record', 1000)
    const stop = new AbortController()
    const reason = new Error('stop')
    const reader = log.stream({ signal: stop.signal }).getReader()
    expect(await takeStreamed(reader, 1)).toEqual(['record0'])
    stop.abort(reason)
    await expect(reader.read()).rejects.toBe(reason)
  })

  test('ends any number of readers, that have one listener of it among them', async () => {
    const warnings: Error[] = []
    const listen = (warning: Error): void => void warnings.push(warning)
    process.on('warning', listen)
    onTestFinished(() => void process.off('warning', listen))
    const log = await emptyLog()
    const stop = new AbortController()
    const { signal } = stop
    const readers = Array.from({ length: 12 }, () => log.read({ follow: true, signal }))
    const waiting = readers.map((records) => records.next())
    await settle()
    expect(getEventListeners(signal, 'abort').length).toBe(1)
    await readers[0]!.return?.()
    await log.append({ value: 'm' })
    expect(await Promise.all(waiting.slice(1).map(async (result) => (await result).done))).not.toContain(true)
    expect(getEventListeners(signal, 'abort').length).toBe(0)
    const again = readers.slice(1).map((records) => records.next())
    await settle()
    stop.abort(new Error('stop'))
    for (const result of again) await expect(result).rejects.toBe(signal.reason)
    await new Promise((resolve) => setImmediate(resolve))
    expect(warnings).toEqual([])
  })
})
