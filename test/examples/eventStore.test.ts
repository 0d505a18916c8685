import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { balances, change, deposit, open, withdraw } from '../../examples/event-store/accounts.js'
import { ConflictError, EventStore } from '../../examples/event-store/eventStore.js'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { bundled, run } from './runExample.ts'

async function newStore(directory: string = temporaryDirectory()): Promise<EventStore> {
  const store = await EventStore.open(directory)
  onTestFinished(() => store.close())
  return store
}

test('events of a command are there together, and only at the version that was expected', async () => {
  const store = await newStore()
  expect(await store.append('a', 0, [{ type: 'opened' }, { type: 'deposited', cents: 5 }])).toBe(2)
  await expect(store.append('a', 1, [{ type: 'withdrawn', cents: 5 }])).rejects.toBeInstanceOf(ConflictError)
  expect(await balances(store)).toEqual(new Map([['a', 5]]))
})

test('commands that run at once leave the balances that some order of them would', async () => {
  const command = fc.record({
    id: fc.constantFrom('a', 'b'),
    cents: fc.integer({ min: 1, max: 50 }),
    isDeposit: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(command, { maxLength: 12 }), async (commands) => {
      const directory = temporaryDirectory()
      const store = await EventStore.open(directory)
      const expected = new Map([
        ['a', 0],
        ['b', 0],
      ])
      await Promise.all([open(store, 'a'), open(store, 'b'), open(store, 'a')])
      await Promise.all(
        commands.map(async ({ id, cents, isDeposit }) => {
          try {
            await (isDeposit ? deposit(store, id, cents) : withdraw(store, id, cents))
            expected.set(id, expected.get(id)! + (isDeposit ? cents : -cents))
          } catch (error) {
            expect((error as Error).message).toMatch(/has \d+ cents/)
          }
        }),
      )
      expect(await balances(store)).toEqual(expected)
      expect(Math.min(...expected.values())).toBeGreaterThanOrEqual(0)
      await store.close()
      const again = await EventStore.open(directory)
      expect(await balances(again)).toEqual(expected)
      await again.close()
    }),
    { numRuns: 8 },
  )
})

test('a command that decides on nothing stores nothing', async () => {
  const store = await newStore()
  expect(await change(store, 'a', () => [])).toBe(0)
  expect(store.ids).toEqual([])
})

test('the program goes on from the balances that it left', async () => {
  const program = await bundled('event-store/accounts.js')
  const directory = temporaryDirectory()
  expect((await run(program, [directory]).ended).output).toBe('{ alice: 700, bob: 100 }\n')
  expect((await run(program, [directory]).ended).output).toBe('{ alice: 1400, bob: 200 }\n')
})
