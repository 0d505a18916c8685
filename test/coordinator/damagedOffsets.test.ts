import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeOffsetsRecord } from '../../src/coordinator/recordFormat.ts'
import { EngineError } from '../../src/model/errors.ts'
import { BatchHeader } from '../../src/segment/recordBatch.ts'
import { CoordinatorWorld, codeOf } from './support/coordinatorWorld.ts'
import { MemoryLog } from './support/memoryLog.ts'

describe('the log', () => {
  test('a log that has grown is rewritten: what is live comes back, what was replaced or removed does not', async () => {
    const world = await CoordinatorWorld.start({ offsetsLogBytes: 20_000 })
    const memberId = await world.stable('members')
    await world.commit(1, { groupId: 'gone' })
    await world.commit(5, { groupId: 'kept', topic: 'u' })
    await world.coordinator.deleteGroups({ groupsNames: ['gone'] })
    for (let offset = 0; offset < 1_000; offset++) await world.commit(offset)
    expect(world.log.logStartOffset).toBeGreaterThan(500)
    expect(world.log.liveBytes).toBeLessThan(25_000)
    await world.restart()
    expect([world.offset(), world.offset('u', 0, 'kept'), world.offset('t', 0, 'gone')]).toEqual([999, 5, -1])
    expect(await world.heartbeat(memberId, 1, 'members')).toBe(0)
    expect(Buffer.from((await world.sync(memberId, 1, {}, 'members')).assignment).toString()).toBe('one')
  })

  test('a log whose live part is most of it is left alone', async () => {
    const world = await CoordinatorWorld.start({ offsetsLogBytes: 20_000 })
    for (let partition = 0; partition < 400; partition++) await world.commit(1, { partition })
    expect(world.log.logStartOffset).toBe(0)
  })

  test('a damaged record is reported and left out; the others are served', async () => {
    const world = await CoordinatorWorld.start()
    await world.commit(1)
    await world.commit(2, { groupId: 'other' })
    const damaged = Buffer.from(world.log.file.bytes)
    damaged[80] = damaged[80]! ^ 0xff
    world.log.file.bytes = damaged
    await world.restart()
    expect([world.offset(), world.offset('t', 0, 'other')]).toEqual([-1, 2])
    expect(world.reports).toHaveLength(1)
  })

  test('whatever byte of the log is damaged, the coordinator starts, says so, and invents nothing', async () => {
    const world = await CoordinatorWorld.start()
    const memberId = await world.stable('members')
    for (let offset = 1; offset <= 4; offset++) await world.commit(offset, { partition: offset })
    const good = Buffer.from(world.log.file.bytes)
    const flip = fc.record({ at: fc.nat(good.length - 1), to: fc.integer({ min: 1, max: 255 }) })
    await fc.assert(
      fc.asyncProperty(fc.array(flip, { minLength: 1, maxLength: 3 }), async (flips) => {
        const bytes = Buffer.from(good)
        for (const { at, to } of flips) bytes[at] = bytes[at]! ^ to
        world.reports.length = 0
        world.log.file.bytes = bytes
        world.create()
        await world.coordinator.start()
        const isServed = codeOf(await world.now(world.commit(9, { topic: 'after' }))) === 0
        for (let offset = 1; offset <= 4; offset++) {
          const found = isServed ? world.offset('t', offset) : -1
          expect([-1, offset]).toContain(found)
          if (found === -1) expect(world.reports.length).toBeGreaterThan(0)
        }
        expect([0, 15, 25]).toContain(await world.heartbeat(memberId, 1, 'members'))
        await world.coordinator.close()
        world.log.file.bytes = Buffer.from(good)
        world.logs = [new MemoryLog(world.disk, 'offsets-0')]
      }),
      { numRuns: 200 },
    )
  })

  test('a batch whose base offset is damaged does not vanish without a word', async () => {
    const world = await CoordinatorWorld.start()
    await world.stable('members')
    await world.commit(1, { partition: 1 })
    const lastBatch = world.log.file.bytes.length - lastBatchBytes(world.log.file.bytes)
    world.log.file.bytes = Buffer.from(world.log.file.bytes)
    world.log.file.bytes[lastBatch]! ^= 0x80
    world.reports.length = 0
    world.create()
    await world.coordinator.start()
    expect(world.reports).not.toEqual([])
    expect(codeOf(await world.now(world.commit(9)))).toBe(15)
  })

  test('a log that cannot be read is not served (15); the others are', async () => {
    const world = await CoordinatorWorld.start({}, 2)
    const names = ['a', 'b'].sort(
      (x, y) => world.coordinator.partitionFor(x) - world.coordinator.partitionFor(y),
    )
    for (const groupId of names) await world.commit(1, { groupId })
    const failing = world.logs[0]!
    failing.read = () => {
      throw new EngineError('diskFailed', 'input/output error')
    }
    world.create()
    await world.coordinator.start()
    expect(codeOf(await world.commit(2, { groupId: names[0]! }))).toBe(15)
    expect(codeOf(await world.commit(2, { groupId: names[1]! }))).toBe(0)
    expect(world.reports).toHaveLength(1)
  })

  test('records of types that this release does not know are passed over, ones that lie are reported', async () => {
    const world = await CoordinatorWorld.start()
    const key = encodeOffsetsRecord({
      type: 'offset',
      groupId: 'g',
      topic: 't',
      partition: 0,
      value: null,
    }).key
    await world.appendRaw({ key: Buffer.from('00030001670000', 'hex'), value: Buffer.from('0000', 'hex') })
    await world.appendRaw({ key, value: Buffer.from('0063', 'hex') })
    await world.appendRaw({ key: key.subarray(0, 5), value: null })
    await world.commit(1, { topic: 'u' })
    await world.restart()
    expect([world.offset(), world.offset('u')]).toEqual([-1, 1])
    expect(world.reports).toHaveLength(2)
  })

  test('a group lives on the partition that Kafka gives it', async () => {
    const world = await CoordinatorWorld.start({}, 50)
    // "console-consumer-1".hashCode() and friends, from Java.
    expect(world.coordinator.partitionFor('')).toBe(0)
    expect(world.coordinator.partitionFor('a')).toBe(97 % 50)
    expect(world.coordinator.partitionFor('polygenelubricants')).toBe(0)
    expect(world.coordinator.partitionFor('hello')).toBe(99_162_322 % 50)
  })
})

/** How long the last batch of `bytes` is. */
function lastBatchBytes(bytes: Uint8Array): number {
  let at = 0
  for (;;) {
    const { sizeBytes } = new BatchHeader(bytes, at)
    if (at + sizeBytes === bytes.length) return sizeBytes
    at += sizeBytes
  }
}
