import { expect, test } from 'vitest'
import { CorruptionError } from '../../src/model/errors.ts'
import { Sealer } from '../../src/segment/sealer.ts'
import type { Segment } from '../../src/segment/segment.ts'
import { IndexCache } from '../../src/segment/segmentIndexes.ts'
import { runtime } from './support.ts'

const damage = new CorruptionError({ file: '/a', position: 0, expected: 'a batch', found: 'nothing' })

/** A sealer with one segment, which is damaged. */
function world(isFound: boolean) {
  const state = { isKnown: false, looked: 0 }
  const indexes = async (): Promise<never> => {
    state.looked++
    throw damage
  }
  const sealer = new Sealer(runtime, '/nowhere', new IndexCache(), indexes, {
    isKnown: () => state.isKnown,
    note: async () => {
      state.isKnown = isFound
      return isFound
    },
  })
  sealer.add({ baseOffset: 0 } as Segment, 5, [])
  return { sealer, state }
}

test('a segment that is found damaged when it is sealed stays unfinished, and is not read again before it is mended', async () => {
  const { sealer, state } = world(true)
  expect(await sealer.seal(5)).toBe(-1)
  expect(await sealer.seal(7)).toBe(-1)
  expect(state.looked).toBe(1)
  expect(sealer.oldestOffset).toBe(0)
  state.isKnown = false
  expect(await sealer.seal(7)).toBe(-1)
  expect(state.looked).toBe(2)
})

test('damage that a segment is said to have and that cannot be found is an error', async () => {
  const { sealer } = world(false)
  await expect(sealer.seal(5)).rejects.toBe(damage)
  expect(sealer.nextEndOffset).toBe(5)
})
