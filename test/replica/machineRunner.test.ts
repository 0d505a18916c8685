import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { EngineError } from '../../src/model/errors.ts'
import { silentLogger } from '../../src/model/logger.ts'
import { plant } from '../../src/model/planted.ts'
import { type BatchMachine, MachineRunner, type RunnerOptions } from '../../src/replica/machineRunner.ts'
import { nodeChecksum } from '../../src/runtime/node/nodeChecksum.ts'
import { readRecords } from '../../src/segment/records.ts'
import { SimFileSystem } from '../../src/testing/simFileSystem.ts'
import { FakeGroup } from './fakeGroup.ts'

afterEach(() => plant(null))

/** Remembers every value that it was given; results are how many there were. */
class ListMachine implements BatchMachine {
  values: string[] = []
  restores = 0
  /** Throws at this value. */
  poison: string | null = null

  apply(_: unknown, bytes: Uint8Array): number[] {
    return [...readRecords(bytes)].map(({ value }) => {
      const text = Buffer.from(value!).toString()
      if (text === this.poison) throw new Error(`cannot take ${text}`)
      return this.values.push(text)
    })
  }

  *snapshot(): Generator<Uint8Array> {
    for (const value of this.values) yield Buffer.from(value)
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    this.restores++
    this.values = []
    for await (const chunk of chunks) this.values.push(Buffer.from(chunk).toString())
  }
}

interface Running {
  readonly group: FakeGroup
  readonly machine: ListMachine
  readonly runner: MachineRunner
  readonly failures: EngineError[]
}

async function run(
  options: Partial<RunnerOptions> = {},
  fs?: SimFileSystem,
  prepare: (group: FakeGroup) => void = () => {},
): Promise<Running> {
  const group = await FakeGroup.open(fs)
  prepare(group)
  const machine = new ListMachine()
  const failures: EngineError[] = []
  const runner = new MachineRunner(group, machine, {
    checksum: nodeChecksum,
    logger: silentLogger,
    name: 'list',
    kind: 'partition',
    snapshotBytes: Number.MAX_SAFE_INTEGER,
    keptRecords: 0,
    failed: (error) => failures.push(error),
    ...options,
  })
  await runner.start()
  return { group, machine, runner, failures }
}

describe('a machine', () => {
  test('is given every committed record once, in order, and nothing that is not committed', async () => {
    const { group, machine, runner } = await run()
    group.append(['a', 'b'])
    group.append(['c'])
    group.append(['d'])
    group.commit(3)
    await runner.whenApplied(3)
    expect(machine.values).toEqual(['a', 'b', 'c'])
    group.commit(4)
    await runner.whenApplied(4)
    expect(machine.values).toEqual(['a', 'b', 'c', 'd'])
  })

  test('sees no control records, which count as applied', async () => {
    const { group, machine, runner } = await run()
    group.append(['marker'], { isControl: true })
    group.append(['a'])
    group.commit()
    await runner.whenApplied(2)
    expect(machine.values).toEqual(['a'])
  })

  test('that throws stands still on this node, and says with what', async () => {
    const { group, machine, runner, failures } = await run()
    machine.poison = 'c'
    group.append(['a'])
    group.append(['c'])
    group.append(['d'])
    group.commit()
    await expect(runner.whenApplied(3)).rejects.toMatchObject({
      code: 'machineFailed',
      cause: { message: 'cannot take c' },
    })
    expect(failures).toEqual([runner.ended])
    expect(machine.values).toEqual(['a'])
    expect(runner.applied).toBe(1)
    await expect(runner.whenApplied(2)).rejects.toBe(runner.ended)
    await expect(runner.takeSnapshot()).rejects.toBe(runner.ended)
  })

  test('whose records are lost stands still: its state has them', async () => {
    const { group, machine, runner, failures } = await run()
    group.append(['a'])
    group.append(['b'])
    group.commit()
    await runner.whenApplied(2)
    group.batches.pop()
    group.commit(1)
    group.append(['other'])
    group.commit(2)
    await expect(runner.whenApplied(3)).rejects.toMatchObject({ code: 'machineFailed' })
    expect(failures).toEqual([runner.ended])
    expect(machine.values).toEqual(['a', 'b'])
  })

  test('is not given what was lost while it was read', async () => {
    const { group, machine, runner } = await run()
    group.append(['a'])
    group.append(['b'])
    let go = (): void => {}
    group.reading = new Promise<void>((resolve) => {
      go = resolve
    })
    group.commit()
    group.batches = group.batches.slice(0, 1)
    group.commit(1)
    group.append(['other'])
    group.commit(2)
    go()
    await runner.whenApplied(2)
    expect(machine.values).toEqual(['a', 'other'])
  })

  test('is not given a damaged batch', async () => {
    const { group, machine, runner } = await run()
    group.append(['a'])
    group.batches[0]![65]! ^= 1
    group.commit()
    await expect(runner.whenApplied(1)).rejects.toMatchObject({ code: 'corruptLog' })
    expect(machine.values).toEqual([])
  })

  test('goes on after a read that found nothing, once it is told more', async () => {
    const { group, machine, runner } = await run()
    group.append(['a'])
    const { batches } = group
    group.batches = []
    group.commit(1)
    await new Promise((resolve) => setImmediate(resolve))
    expect(runner.applied).toBe(0)
    group.batches = batches
    group.commit(1)
    await runner.whenApplied(1)
    expect(machine.values).toEqual(['a'])
  })

  test('ends with its group: whoever waits is told', async () => {
    const { group, runner } = await run()
    group.append(['a'])
    const waiting = runner.whenApplied(1)
    await runner.close()
    await expect(waiting).rejects.toMatchObject({ code: 'closed' })
    expect(group.listeners.size).toBe(0)
    const other = await run()
    const [listener] = other.group.listeners
    const lost = other.runner.whenApplied(1)
    listener!.failed!(new EngineError('diskFailed', 'gone'))
    await expect(lost).rejects.toMatchObject({ code: 'diskFailed' })
  })
})

describe('snapshots of a machine', () => {
  test('are of the moment in which they begin, while the machine goes on', async () => {
    const fs = new SimFileSystem()
    const { group, machine, runner } = await run({}, fs)
    group.append(['a', 'b'])
    group.commit()
    await runner.whenApplied(2)
    const taking = runner.takeSnapshot()
    group.append(['c'])
    group.commit()
    await runner.whenApplied(3)
    expect(machine.values).toEqual(['a', 'b', 'c'])
    expect(await taking).toEqual({ endOffset: 2, epoch: 1 })
    expect(group.cuts).toEqual([{ id: { endOffset: 2, epoch: 1 }, logStartOffset: 2 }])
    const again = await run({}, fs, (next) => next.cut(2))
    expect(again.machine.values).toEqual(['a', 'b'])
    expect(again.runner.applied).toBe(2)
  })

  test('may be read little by little, if the view is of the moment', async () => {
    const fs = new SimFileSystem()
    const { group, machine, runner } = await run({}, fs)
    const view = async function* (): AsyncGenerator<Uint8Array> {
      const values = [...machine.values]
      for (const value of values) {
        await new Promise((resolve) => setImmediate(resolve))
        yield Buffer.from(value)
      }
    }
    machine.snapshot = view as never
    group.append(['a', 'b'])
    group.commit()
    await runner.whenApplied(2)
    const taking = runner.takeSnapshot()
    group.append(['c'])
    group.commit()
    await runner.whenApplied(3)
    await taking
    const again = await run({}, fs, (next) => next.cut(2))
    expect(again.machine.values).toEqual(['a', 'b'])
  })

  test('are taken after so many bytes, one at a time, and leave some records in the log', async () => {
    const { group, runner } = await run({ snapshotBytes: 300, keptRecords: 2 })
    for (let index = 0; index < 20; index++) {
      group.append([`${index}`])
      group.commit()
      await runner.whenApplied(index + 1)
      // What was written beside gets its turns.
      await new Promise((resolve) => setImmediate(resolve))
    }
    await runner.close()
    expect(group.cuts.length).toBeGreaterThan(2)
    for (const { id, logStartOffset } of group.cuts)
      expect(logStartOffset).toBe(Math.max(0, id.endOffset - 2))
    expect(group.snapshots.ids).toEqual([group.cuts.at(-1)!.id])
  })

  test('are not taken of what one has already', async () => {
    const { group, runner } = await run()
    expect(await runner.takeSnapshot()).toBe(null)
    group.append(['a'])
    group.commit()
    await runner.whenApplied(1)
    expect(await runner.takeSnapshot()).not.toBe(null)
    expect(await runner.takeSnapshot()).toBe(null)
  })

  test('that cannot be taken leave the log as it is, and the machine going', async () => {
    const told: (EngineError | null)[] = []
    const { group, machine, runner } = await run({ snapshotTaken: (_, error) => told.push(error) })
    machine.snapshot = async function* () {
      yield Buffer.from('half')
      throw new Error('out of memory')
    } as never
    group.append(['a'])
    group.commit()
    await runner.whenApplied(1)
    await expect(runner.takeSnapshot()).rejects.toThrow('out of memory')
    expect(told).toMatchObject([{ code: 'machineFailed' }])
    machine.snapshot = () => {
      throw new Error('at once')
    }
    await expect(runner.takeSnapshot()).rejects.toMatchObject({ code: 'machineFailed' })
    expect(told).toHaveLength(2)
    expect(group.cuts).toEqual([])
    expect(group.snapshots.ids).toEqual([])
    group.append(['b'])
    group.commit()
    await runner.whenApplied(2)
    expect(machine.values).toEqual(['a', 'b'])
  })

  test('of the leader replace the state of a follower that was behind', async () => {
    const fs = new SimFileSystem()
    const { group, machine, runner } = await run({}, fs)
    group.append(['a'])
    group.commit()
    await runner.whenApplied(1)
    const id = { endOffset: 5, epoch: 2 }
    const head = {
      lastTimestampMs: 5,
      kraftVersion: 1 as const,
      voters: [],
      votersVersion: 0,
      partition: { epochStarts: [], producers: [] },
    }
    await group.snapshots.write(id, head, [Buffer.from('x'), Buffer.from('y')])
    group.install(id)
    await runner.whenApplied(5)
    expect(machine.values).toEqual(['x', 'y'])
    group.append(['z'])
    group.commit()
    await runner.whenApplied(6)
    expect(machine.values).toEqual(['x', 'y', 'z'])
    expect(machine.restores).toBe(1)
  })

  test('that are damaged are refused at the start, before the machine has seen any of them', async () => {
    const fs = new SimFileSystem()
    const first = await run({}, fs)
    first.group.append(['a'])
    first.group.commit()
    await first.runner.whenApplied(1)
    const id = (await first.runner.takeSnapshot())!
    const path = first.group.snapshots.path(id)
    const bytes = fs.contentOf(path)
    fs.write(fs.fileAt(path), bytes.length - 3, Buffer.from([1]))
    const group = await FakeGroup.open(fs)
    group.cut(1)
    const machine = new ListMachine()
    const runner = new MachineRunner(group, machine, {
      checksum: nodeChecksum,
      logger: silentLogger,
      name: 'list',
      kind: 'partition',
      snapshotBytes: 1000,
      keptRecords: 0,
      failed: () => {},
    })
    await expect(runner.start()).rejects.toMatchObject({ code: 'corruptLog', corruption: { file: path } })
    expect(machine.restores).toBe(0)
  })

  test('that are missing, although the log begins after 0, are missed', async () => {
    await expect(run({}, new SimFileSystem(), (group) => group.cut(3))).rejects.toMatchObject({
      code: 'corruptLog',
    })
  })

  test('give the same state as the whole log does, whenever they are taken', async () => {
    const step = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({ type: fc.constant('append'), count: fc.integer({ min: 1, max: 4 }) }),
      },
      { weight: 2, arbitrary: fc.record({ type: fc.constant('commit') }) },
      { weight: 1, arbitrary: fc.record({ type: fc.constant('snapshot') }) },
      { weight: 1, arbitrary: fc.record({ type: fc.constant('restart') }) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), fc.nat({ max: 5 }), async (steps, keptRecords) => {
        const fs = new SimFileSystem()
        let world = await run({ keptRecords }, fs)
        const expected: string[] = []
        for (const each of steps) {
          const { group, runner } = world
          if (each.type === 'append') {
            const { count } = each as { count: number }
            const values = Array.from({ length: count }, (_, index) => `${group.endOffset + index}`)
            group.append(values)
            expected.push(...values)
          } else if (each.type === 'commit') {
            group.commit()
            await runner.whenApplied(group.endOffset)
          } else if (each.type === 'snapshot') {
            await runner.takeSnapshot()
          } else {
            await runner.close()
            const { batches, highWatermark } = group
            world = await run({ keptRecords }, fs, (next) => {
              next.batches = batches
              next.log.logStartOffset = group.log.logStartOffset
              next.highWatermark = highWatermark
            })
          }
          expect(world.machine.values).toEqual(expected.slice(0, world.runner.applied))
        }
      }),
      { numRuns: 60 },
    )
  })

  test('a log that is cut before its snapshot is durable is found out', async () => {
    plant('snapshotDeletesLogFirst')
    const fs = new SimFileSystem()
    const { group, machine, runner } = await run({}, fs)
    machine.snapshot = async function* () {
      yield Buffer.from('half')
      throw new Error('no more')
    } as never
    group.append(['a'])
    group.commit()
    await runner.whenApplied(1)
    await runner.takeSnapshot().catch(() => {})
    await expect(run({}, fs, (next) => next.cut(group.log.logStartOffset))).rejects.toMatchObject({
      code: 'corruptLog',
    })
  })
})
