import fc from 'fast-check'
import { expect, test } from 'vitest'
import { commit, Inbox, relay } from '../../examples/outbox/outbox.js'
import { type Engine, openEngine } from '../../src/index.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { bundled, run } from './runExample.ts'

async function inEngine<T>(directory: string, body: (engine: Engine<'journal'>) => Promise<T>): Promise<T> {
  const engine = await openEngine({ directory })
  try {
    return await body(engine)
  } finally {
    await engine.close()
  }
}

test('each message takes effect once, in order, wherever the relay dies and the receiver forgets', async () => {
  const run = fc.record({
    /** Messages of each commit. */
    commits: fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 6 }),
    /** After how many hand-overs the relay dies, before or after the receiver has stored them. */
    diesAfter: fc.array(fc.record({ count: fc.nat(4), isStored: fc.boolean() }), { maxLength: 3 }),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(run, { maxLength: 3 }), async (runs) => {
      const directory = temporaryDirectory()
      const expected: string[] = []
      let number = 0
      for (const { commits, diesAfter } of runs) {
        await inEngine(directory, async (engine) => {
          const log = await engine.log('orders')
          for (const count of commits) {
            const messages = Array.from({ length: count }, () => ({ to: 'x', body: `${number++}` }))
            expected.push(...messages.map(({ body }) => body))
            await commit(log, { order: number }, messages)
          }
          for (const { count, isStored } of diesAfter) {
            const inbox = await Inbox.open(await engine.log('inbox'))
            let left = count
            const dying = {
              nextOffset: inbox.nextOffset,
              accept: async (messages: readonly { to: string; body: unknown }[], nextOffset: number) => {
                const isLast = left-- <= 0
                if (!isLast || isStored) await inbox.accept(messages, nextOffset)
                if (isLast) throw new Error('died')
              },
            }
            await relay(log, dying, { follow: false }).catch(({ message }) => expect(message).toBe('died'))
          }
        })
      }
      await inEngine(directory, async (engine) => {
        const inbox = await Inbox.open(await engine.log('inbox'))
        await relay(await engine.log('orders'), inbox, { follow: false })
        expect(inbox.received.map(({ body }) => body)).toEqual(expected)
        const again = await Inbox.open(await engine.log('inbox'))
        expect(again.received).toEqual(inbox.received)
      })
    }),
    { numRuns: 10 },
  )
})

test('a second relay is refused before it hands anything over twice', async () => {
  await inEngine(temporaryDirectory(), async (engine) => {
    const [log, inbox] = [await engine.log('orders'), await engine.log('inbox')]
    await commit(log, { order: 1 }, [{ to: 'x', body: 'once' }])
    const [first, second] = [await Inbox.open(inbox), await Inbox.open(inbox)]
    await relay(log, first, { follow: false })
    await expect(relay(log, second, { follow: false })).rejects.toMatchObject({ code: 'conflict' })
    expect((await Inbox.open(inbox)).received).toEqual([{ to: 'x', body: 'once' }])
  })
})

test('a commit that is taken can be handed over, however large it is', async () => {
  await inEngine(temporaryDirectory(), async (engine) => {
    const settings = { maxAppendBytes: 1024 }
    const log = await engine.log('orders', settings)
    const inbox = await Inbox.open(await engine.log('inbox', settings))
    const last = await Inbox.open(await engine.log('last-offset', settings))
    const to = 'customer@example.org'
    for (const count of [1, 10]) {
      const more = Array.from({ length: count - 1 }, () => ({ to, body: '' }))
      // The largest that is taken.
      for (let length = 1024; ; length--) {
        const messages = [{ to, body: 'x'.repeat(length) }, ...more]
        const refusal = await commit(log, {}, messages).then(
          () => null,
          ({ code }) => code as string,
        )
        if (refusal !== null) {
          expect(refusal).toBe('messageTooLarge')
          continue
        }
        await last.accept(messages, Number.MAX_SAFE_INTEGER)
        break
      }
    }
    await commit(log, {}, [{ to, body: 'behind them' }])
    await relay(log, inbox, { follow: false })
    expect(inbox.received.at(-1)).toEqual({ to, body: 'behind them' })
    expect(inbox.received.length).toBe(12)
  })
})

test('a receiver may have any name', async () => {
  await inEngine(temporaryDirectory(), async (engine) => {
    const [log, inbox] = [await engine.log('orders'), await engine.log('inbox')]
    await commit(log, undefined, [{ to: 'nextOffset', body: 'x' }])
    await relay(log, await Inbox.open(inbox), { follow: false })
    const { nextOffset, received } = await Inbox.open(inbox)
    expect({ nextOffset, received }).toEqual({ nextOffset: 2, received: [{ to: 'nextOffset', body: 'x' }] })
  })
})

test('the program goes on from the mails that it has sent', async () => {
  const program = await bundled('outbox/shop.js')
  const directory = temporaryDirectory()
  expect((await run(program, [directory, '3']).ended).output).toMatch(/^3 mails.*order 2 is on its way/)
  expect((await run(program, [directory, '4']).ended).output).toMatch(/^7 mails.*order 6 is on its way/)
})
