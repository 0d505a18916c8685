import fc from 'fast-check'
import { expect, test } from 'vitest'
import { EngineError } from '../../../src/model/errors.ts'
import { blockBytes } from '../../../src/segment/journal/blocks.ts'
import type { FaultyRange } from '../../../src/segment/journal/journalScan.ts'
import type { Image } from '../../../src/testing/medium.ts'
import { SimFileSystem } from '../../../src/testing/simFileSystem.ts'
import { SimRandom } from '../../../src/testing/simRandom.ts'
import {
  crash,
  directory,
  type Journalled,
  journalWith,
  large,
  newTruth,
  numbersIn,
  openWorld,
  run,
  type Truth,
} from './support.ts'

/** One thing that goes wrong with a file. `at` and `other` choose where, as shares of what there is. */
interface Damage {
  readonly kind:
    | 'flip'
    | 'sector'
    | 'block'
    | 'misdirected'
    | 'truncate'
    | 'grow'
    | 'zero'
    | 'remove'
    | 'swap'
  readonly file: number
  readonly at: number
  readonly other: number
}

const share = fc.integer({ min: 0, max: 9_999 }).map((value) => value / 10_000)
const kinds = [
  'flip',
  'sector',
  'block',
  'misdirected',
  'truncate',
  'grow',
  'zero',
  'remove',
  'swap',
] as const
const damage: fc.Arbitrary<Damage> = fc.record({
  kind: fc.constantFrom(...kinds),
  file: share,
  at: share,
  other: share,
})
const sizes = fc.array(fc.array(fc.nat({ max: 6_000 }), { minLength: 1, maxLength: 3 }), {
  minLength: 4,
  maxLength: 18,
  size: 'max',
})

function applyTo(image: Image, { kind, file, at, other }: Damage): Image {
  const fs = new SimFileSystem({ image })
  const paths = fs.list(directory).map(({ name }) => `${directory}/${name}`)
  const path = paths[Math.floor(file * paths.length)]!
  const second = paths[Math.floor(other * paths.length)]!
  const secondBytes = fs.contentOf(second)
  if (kind === 'remove') fs.unlink(path)
  else {
    fs.damage(path, (bytes) => {
      const position = Math.floor(at * bytes.length)
      const block = position - (position % blockBytes)
      switch (kind) {
        case 'flip':
          bytes[position]! ^= 1 << Math.floor(other * 8)
          return bytes
        case 'sector':
          return bytes.fill(0, position - (position % 512), position - (position % 512) + 512)
        case 'block':
          return bytes.fill(0, block, block + blockBytes)
        case 'misdirected': {
          const to = Math.floor((other * bytes.length) / blockBytes) * blockBytes
          bytes.copyWithin(to, block, block + blockBytes)
          return bytes
        }
        case 'truncate':
          return bytes.slice(0, position)
        case 'grow':
          return Buffer.concat([bytes, Buffer.alloc(5_000, 1)])
        case 'zero':
          return bytes.fill(0)
        case 'swap':
          return secondBytes
      }
    })
    if (kind === 'swap') fs.damage(second, () => new SimFileSystem({ image }).contentOf(path))
  }
  fs.syncAll(Number.MAX_SAFE_INTEGER)
  return fs.image
}

/** What is missing has to be told: it is in a faulty range, or behind an end that nothing proves. */
async function checkTold(world: Journalled, truth: Truth): Promise<number[]> {
  const { replay } = world
  const numbers = await numbersIn(replay)
  expect(numbers).not.toContain(-1)
  expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b))
  const found = new Set(numbers)
  const from = replay.checkpoint?.replayFrom.sequence ?? 1
  const last = numbers.length === 0 ? -1 : numbers.at(-1)!
  for (let id = 0; id < truth.acked; id++) {
    const sequence = truth.sequenceOf.get(id)!
    if (sequence < from || found.has(id)) continue
    const isFaulty = replay.verdict.rot.some(
      ({ fromSequence, toSequence }) => fromSequence <= sequence && sequence <= toSequence,
    )
    const isBehindEnd = id > last && replay.verdict.end === 'tearUnproven'
    expect([id, isFaulty || isBehindEnd]).toEqual([id, true])
  }
  return numbers
}

function sequences({ fromSequence, toSequence }: FaultyRange): number[] {
  return [fromSequence, toSequence]
}

async function openDamaged(image: Image, truth: Truth): Promise<Journalled | null> {
  try {
    return await openWorld(image, 1, truth, large)
  } catch (error) {
    expect(error).toBeInstanceOf(EngineError)
    expect(['corruptLog', 'directoryForeign']).toContain((error as EngineError).code)
    return null
  }
}

test('damage is told or makes no difference; nothing wrong is ever replayed', async () => {
  const outcomes = new Map<string, number>()
  await fc.assert(
    fc.asyncProperty(
      sizes,
      fc.array(damage, { minLength: 1, maxLength: 3 }),
      fc.nat(),
      async (frames, damages, seed) => {
        const truth = newTruth()
        const image = damages.reduce(applyTo, await journalWith(truth, frames, seed))
        const world = await openDamaged(image, truth)
        const outcome =
          world === null ? 'refused' : world.replay.verdict.rot.length > 0 ? 'rot' : world.replay.verdict.end
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
        if (world === null) return
        const numbers = await checkTold(world, truth)
        // A flipped bit, a lost sector or block costs one frame at most.
        if (damages.length === 1 && ['flip', 'sector', 'block'].includes(damages[0]!.kind)) {
          const missing = [...truth.sequenceOf].filter(([id]) => !numbers.includes(id))
          expect(new Set(missing.map(([, sequence]) => sequence)).size).toBeLessThanOrEqual(1)
        }
        // The node goes on; what it writes now is found beside what it found.
        const firstNew = truth.next
        await run(world, truth, [{ type: 'commit', sizes: [10, 5_000] }, { type: 'settle' }])
        world.runtime.disk.kill()
        const again = await openWorld(crash(world.fs, new SimRandom(seed), 0), 2, truth, large)
        expect(await numbersIn(again.replay)).toEqual([...numbers, firstNew, firstNew + 1])
        expect(again.replay.verdict.rot.map(sequences)).toEqual(world.replay.verdict.rot.map(sequences))
      },
    ),
    { numRuns: 300 },
  )
  for (const outcome of ['refused', 'rot', 'tearUnproven', 'clean']) {
    expect([outcome, (outcomes.get(outcome) ?? 0) > 0]).toEqual([outcome, true])
  }
}, 60_000)

test('a journal file that is shorter than it was made has lost what was durable, and says so', async () => {
  const truth = newTruth()
  const fs = new SimFileSystem({ image: await journalWith(truth, [[10], [10], [10]], 1) })
  const [path] = fs
    .list(directory)
    .filter(({ name }) => name.startsWith('journal-'))
    .map(({ name }) => `${directory}/${name}`)
  fs.damage(path!, (bytes) => bytes.slice(0, 2 * blockBytes))
  fs.syncAll(Number.MAX_SAFE_INTEGER)
  const { replay } = await openWorld(fs.image, 2, truth, large)
  expect(await numbersIn(replay)).toEqual([0])
  expect(replay.verdict).toEqual({ end: 'tearUnproven', rot: [] })
  expect(replay.damagedFiles).toEqual([path])
})
