import { describe, expect, test } from 'vitest'
import { silentLogger } from '../../src/model/logger.ts'
import { randomUuid } from '../../src/model/uuid.ts'
import type { Clock } from '../../src/runtime/clock.ts'
import { LogDirectory } from '../../src/segment/logDirectory.ts'
import { decodeProducerSnapshot, encodeProducerSnapshot } from '../../src/segment/producerSnapshot.ts'
import { type ProducerEntry, ProducerState } from '../../src/segment/producerState.ts'
import { BatchHeader } from '../../src/segment/recordBatch.ts'
import { decodeResumeProducers, encodeResumeProducers } from '../../src/segment/resumeProducers.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { append, batchOf, filesIn, ManualClock, openLog, runtime, testConfig } from './support.ts'

const { checksum } = runtime
const last = 2 ** 31 - 1

function header(baseSequence: number, count: number, producerEpoch = 0): BatchHeader {
  const values = Array.from({ length: count }, () => 'x')
  return new BatchHeader(batchOf(values, { producerId: 9, producerEpoch, baseSequence }), 0)
}

/** A state after batches of [sequence, count, epoch], at offsets that count up from 100. */
function stateAfter(...batches: readonly (readonly [number, number, number?])[]): ProducerState {
  const state = new ProducerState()
  let offset = 100
  for (const [sequence, count, epoch] of batches) {
    state.append(header(sequence, count, epoch), offset, 5, 5)
    offset += count
  }
  return state
}

function outcome(state: ProducerState, batch: BatchHeader): string | number {
  try {
    return state.check(batch)?.baseOffset ?? 'next'
  } catch (error) {
    return (error as { code: string }).code
  }
}

describe('the sequence of an idempotent producer (KIP-98)', () => {
  test.each<[string, ProducerState, BatchHeader, string | number]>([
    ['any sequence, when nothing is known', stateAfter(), header(77, 2), 'next'],
    ['last + 1', stateAfter([0, 3]), header(3, 1), 'next'],
    ['a gap', stateAfter([0, 3]), header(4, 1), 'outOfOrderSequenceNumber'],
    ['the latest batch again', stateAfter([0, 3]), header(0, 3), 100],
    ['the fifth last batch again', stateAfter([0, 1], [1, 1], [2, 1], [3, 1], [4, 1]), header(0, 1), 100],
    [
      'the sixth last batch again',
      stateAfter([0, 1], [1, 1], [2, 1], [3, 1], [4, 1], [5, 1]),
      header(0, 1),
      'outOfOrderSequenceNumber',
    ],
    ['a part of an earlier batch', stateAfter([0, 3]), header(0, 2), 'outOfOrderSequenceNumber'],
    ['wrapping to 0', stateAfter([last, 1]), header(0, 1), 'next'],
    ['a batch across the wrap', stateAfter([last - 1, 4]), header(2, 1), 'next'],
    ['a batch across the wrap again', stateAfter([last - 1, 4]), header(last - 1, 4), 100],
    ['1 after the wrap', stateAfter([last, 1]), header(1, 1), 'outOfOrderSequenceNumber'],
    ['an older epoch', stateAfter([0, 1, 3]), header(1, 1, 2), 'invalidProducerEpoch'],
    ['a newer epoch from 0', stateAfter([0, 1, 3]), header(0, 1, 4), 'next'],
    ['a newer epoch from elsewhere', stateAfter([0, 1, 3]), header(1, 1, 4), 'outOfOrderSequenceNumber'],
    ['what a former epoch wrote', stateAfter([0, 1, 3], [0, 1, 4]), header(0, 1, 4), 101],
  ])('%s', (_, state, batch, expected) => {
    expect(outcome(state, batch)).toBe(expected)
  })
})

describe('a snapshot of producers', () => {
  test('keeps the last batch of each, also across the wrap', () => {
    const state = stateAfter([last - 1, 4])
    const entries = decodeProducerSnapshot(encodeProducerSnapshot(state.entries(), checksum), checksum)
    expect(entries).toEqual(state.entries())
  })

  test('with any bit flipped is not believed', () => {
    const bytes = encodeProducerSnapshot(stateAfter([0, 1]).entries(), checksum)
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const copy = Uint8Array.from(bytes)
      copy[bit >> 3]! ^= 1 << (bit & 7)
      expect(decodeProducerSnapshot(copy, checksum)).toBe(null)
    }
  })
})

describe('the producers of a resume point', () => {
  const many = () => stateAfter([0, 1], [1, 4], [5, 1], [6, 2], [8, 1]).entries()

  test('have every batch that is remembered, also of none and of one', () => {
    for (const entries of [[], stateAfter([last - 1, 4]).entries(), many()]) {
      expect(decodeResumeProducers(encodeResumeProducers(entries, checksum), checksum)).toEqual(entries)
    }
  })

  test('with any bit flipped, or cut short, are not believed', () => {
    const bytes = encodeResumeProducers(many(), checksum)
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const copy = Uint8Array.from(bytes)
      copy[bit >> 3]! ^= 1 << (bit & 7)
      expect(decodeResumeProducers(copy, checksum)).toBe(null)
    }
    for (let length = 0; length < bytes.length; length++) {
      expect(decodeResumeProducers(bytes.subarray(0, length), checksum)).toBe(null)
    }
  })
})

test('after a start from a resume point each of the last five batches is known, not the last one alone', async () => {
  const directory = temporaryDirectory()
  const config = { ...testConfig, flush: 'journal' as const }
  const open = () =>
    LogDirectory.open(runtime, { directory, logger: silentLogger, nodeId: 1, configFor: () => config })
  let logs = await open()
  const made = await logs.createLog('a', 0, randomUuid(runtime.random), config)
  for (let sequence = 0; sequence < 6; sequence++) await append(made, batchOf(['x'], idempotent(sequence)))
  await logs.close()
  logs = await open()
  const log = logs.logs.get('a-0')!
  for (let sequence = 1; sequence < 6; sequence++) {
    const again = await append(log, batchOf(['x'], idempotent(sequence)))
    expect(again).toMatchObject({ duplicate: true, baseOffset: sequence })
  }
  await expect(append(log, batchOf(['x'], idempotent(0)))).rejects.toMatchObject({
    code: 'outOfOrderSequenceNumber',
  })
  await logs.close()
})

const idempotent = (baseSequence: number) => ({ producerId: 9, producerEpoch: 0, baseSequence })

test('a duplicate is answered with the first offset after a restart of either kind, and after a roll', async () => {
  const directory = temporaryDirectory()
  const config = { ...testConfig, segmentBytes: 150 }
  let log = await openLog(directory, { config })
  for (let sequence = 0; sequence < 6; sequence++)
    await append(log, batchOf(['x'.repeat(50)], idempotent(sequence)))
  await expect.poll(() => filesIn(directory, '.snapshot').length).toBeGreaterThan(2)
  await log.close({ clean: false })
  log = await openLog(directory, { config, recoveryPoint: log.recoveryPoint })
  expect(await append(log, batchOf(['x'.repeat(50)], idempotent(5)))).toMatchObject({
    duplicate: true,
    baseOffset: 5,
  })
  await log.close({ clean: true })
  const { recoveryPoint, closedState } = log
  for (const noted of [closedState, null]) {
    log = await openLog(directory, { config, recoveryPoint, cleanShutdown: true, closedState: noted })
    expect(await append(log, batchOf(['x'.repeat(50)], idempotent(5)))).toMatchObject({
      duplicate: true,
      baseOffset: 5,
    })
    await expect(append(log, batchOf(['x'], idempotent(9)))).rejects.toMatchObject({
      code: 'outOfOrderSequenceNumber',
    })
    await log.close({ clean: true })
  }
  // Six one-batch segments: a snapshot at the base of each but the first, and the one of the shutdown.
  expect(filesIn(directory, '.snapshot').length).toBe(6)
  for (const name of filesIn(directory, '.snapshot')) await runtime.disk.remove(`${directory}/${name}`)
  log = await openLog(directory, { config, recoveryPoint })
  expect(await append(log, batchOf(['x'.repeat(50)], idempotent(3)))).toMatchObject({
    duplicate: true,
    baseOffset: 3,
  })
  await log.close({ clean: false })
})

test('a producer that has been silent for producer.id.expiration.ms may begin anywhere', async () => {
  const clock = new ManualClock()
  const log = await openLog(temporaryDirectory(), { producerIdExpirationMs: 1000 }, { ...runtime, clock })
  await append(log, batchOf(['x'], idempotent(0)))
  await expect(append(log, batchOf(['x'], idempotent(7)))).rejects.toMatchObject({
    code: 'outOfOrderSequenceNumber',
  })
  await log.applyRetention()
  clock.advance(1000)
  await log.applyRetention()
  expect(await append(log, batchOf(['x'], idempotent(7)))).toMatchObject({ duplicate: false, baseOffset: 1 })
  await log.close({ clean: false })
})

// World seed 202866: a clock that jumped eight years ahead, and a batch that came again was stored twice.
test.each([true, false])(
  'a wall clock that jumps has no producer forgotten, neither while the log is open nor at a start (clean: %s)',
  async (clean) => {
    const clock = new ManualClock()
    const directory = temporaryDirectory()
    const options = { producerIdExpirationMs: 1000 }
    let log = await openLog(directory, options, { ...runtime, clock })
    await append(log, batchOf(['x'], idempotent(0)))
    const repeats = async (): Promise<void> => {
      const again = await append(log, batchOf(['x'], idempotent(0)))
      expect(again).toMatchObject({ duplicate: true, baseOffset: 0 })
    }
    const jumped: Clock = {
      wallMs: () => clock.wallMs() + 10 * 365 * 86_400_000,
      monotonicMs: () => clock.monotonicMs(),
      setTimer: (delayMs, fire) => clock.setTimer(delayMs, fire),
    }
    await log.applyRetention()
    await repeats()
    await log.close({ clean })
    const { recoveryPoint, closedState } = log
    const known = clean ? { recoveryPoint, closedState, cleanShutdown: true } : { recoveryPoint }
    log = await openLog(directory, { ...options, ...known }, { ...runtime, clock: jumped })
    await repeats()
    await log.applyRetention()
    await repeats()
    await log.close({ clean: false })
  },
)

test('a start keeps the latest thousand producers, and of the others those that have not expired', () => {
  const entry = (producerId: number, timestampMs: number): ProducerEntry => {
    return { producerId, epoch: 0, batches: [], timestampMs, coordinatorEpoch: -1, currentTxnFirstOffset: -1 }
  }
  const old = Array.from({ length: 1500 }, (_, index) => entry(index, index))
  const producers = new ProducerState([...old, { ...entry(1500, 0), currentTxnFirstOffset: 7 }])
  producers.forgetOld(1400, 1000)
  const kept = producers.entries().map(({ producerId }) => producerId)
  expect(kept).toEqual([...old.slice(401).map(({ producerId }) => producerId), 1500])
  producers.forgetOld(1e9, 1000)
  expect(producers.count).toBe(1001)
})

test('a cut leaves what is known of the last five batches, also where all but the last lie before a snapshot', async () => {
  const config = { ...testConfig, segmentBytes: 150 }
  const directory = temporaryDirectory()
  const log = await openLog(directory, { config })
  for (let sequence = 0; sequence < 6; sequence++)
    await append(log, batchOf(['x'.repeat(50)], idempotent(sequence)))
  await expect.poll(() => filesIn(directory, '.snapshot').length).toBe(5)
  await log.truncate(5)
  for (let sequence = 1; sequence < 5; sequence++) {
    const again = await append(log, batchOf(['x'.repeat(50)], idempotent(sequence)))
    expect(again).toMatchObject({ duplicate: true, baseOffset: sequence })
  }
  const next = await append(log, batchOf(['y'], idempotent(5)))
  expect(next).toMatchObject({ duplicate: false, baseOffset: 5 })
  await log.close({ clean: false })
})
