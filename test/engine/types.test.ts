import { expect, expectTypeOf, test } from 'vitest'
import {
  type Ack,
  type DurableAck,
  type Engine,
  type EngineLog,
  type LogBatch,
  type LogRecord,
  openEngine,
  type RelaxedAck,
} from '../../src/index.ts'
import type { FlushPolicy } from '../../src/model/flushPolicy.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'

test('what an append promises is known from the policy when compiling, and the same when running', async () => {
  const engine = await openEngine({ directory: temporaryDirectory(), flush: 'batch' })
  try {
    expectTypeOf(engine).toEqualTypeOf<Engine<'batch'>>()
    const durable = await engine.log('durable')
    const relaxed = await engine.log('relaxed', { flush: 'none' })
    const bounded = await engine.log('bounded', { flush: { intervalMs: 100, bytes: 1000 } })
    expectTypeOf(durable).toEqualTypeOf<EngineLog<'batch'>>()
    expectTypeOf(durable.append).returns.resolves.toEqualTypeOf<DurableAck>()
    expectTypeOf(relaxed.append).returns.resolves.toEqualTypeOf<RelaxedAck>()
    expectTypeOf(bounded.append).returns.resolves.toEqualTypeOf<RelaxedAck>()
    expectTypeOf<DurableAck['survives']>().toEqualTypeOf<'powerLoss'>()
    expectTypeOf<Ack>().toEqualTypeOf<DurableAck | RelaxedAck>()
    expectTypeOf<Ack<'journal'>>().toEqualTypeOf<DurableAck>()
    expectTypeOf(durable.configure({ flush: 'none' })).toEqualTypeOf<EngineLog<'none'>>()
    expect((await durable.append({ value: 'a' })).survives).toBe('processKill')
    expect((await relaxed.append({ value: 'a' })).policy).toBe('none')
    expect((await bounded.append({ value: 'a' })).policy).toEqual({ intervalMs: 100, bytes: 1000 })
  } finally {
    await engine.close()
  }
})

test('the default policy is the journal, and an engine of any policy is an engine', () => {
  expectTypeOf(openEngine<'journal'>)
    .parameter(0)
    .toHaveProperty('directory')
  const openDefault = () => openEngine({ directory: 'x' })
  expectTypeOf(openDefault).returns.resolves.toEqualTypeOf<Engine<'journal'>>()
  expectTypeOf<EngineLog<'none'>>().toExtend<EngineLog<FlushPolicy>>()
  expectTypeOf<Engine<'none'>>().toExtend<Engine>()
  expect(openDefault).toBeTypeOf('function')
})

test('records, batches and streams have their types; wrong input does not compile', () => {
  type Log = EngineLog<'journal'>
  expectTypeOf<ReturnType<Log['read']>>().toEqualTypeOf<AsyncIterableIterator<LogRecord>>()
  expectTypeOf<ReturnType<Log['readBatches']>>().toEqualTypeOf<AsyncIterableIterator<LogBatch>>()
  expectTypeOf<ReturnType<Log['stream']>>().toEqualTypeOf<ReadableStream<LogRecord>>()
  expectTypeOf<LogRecord['value']>().toEqualTypeOf<Uint8Array | null>()
  expectTypeOf<Engine>().toExtend<AsyncDisposable>()
  const wrong = (log: Log, engine: Engine) => {
    // @ts-expect-error what is asked for does not say which policy a log has
    const other: Promise<EngineLog<'batch'>> = engine.log('x', { flush: 'none' })
    // @ts-expect-error nor does it say which one it gets
    const raised: EngineLog<'journal'> = ({} as EngineLog<'none'>).configure({ retentionMs: 5 })
    expect([other, raised]).toHaveLength(2)
    // @ts-expect-error a value is text or bytes
    log.append({ value: 5 })
    // @ts-expect-error text is no record
    log.append('hello')
    // @ts-expect-error there is no such policy
    engine.log('a', { flush: 'sometimes' })
    // @ts-expect-error there is no such setting
    engine.log('a', { fsync: true })
    // @ts-expect-error a place is an offset, "start" or "end"
    log.read({ from: 'middle' })
  }
  expect(wrong).toBeTypeOf('function')
})
