import { describe, expect, test } from 'vitest'
import type { Connection } from '../../src/runtime/network.ts'
import type { Fault, FaultAction, Place, Running } from '../../src/testing.ts'
import { World } from '../../src/testing.ts'

/** What one side of a connection was told. */
interface Heard {
  readonly connection: Connection
  text: string
  ended: boolean
  /** The error's message, or null after an orderly close; undefined while it is open. */
  closed: string | null | undefined
}

function listen(connection: Connection): Heard {
  const heard: Heard = { connection, text: '', ended: false, closed: undefined }
  connection.start({
    data: (chunk) => {
      heard.text += Buffer.from(chunk).toString()
    },
    end: () => {
      heard.ended = true
    },
    drain() {},
    close: (error) => {
      heard.closed = error === null ? null : error.message
    },
  })
  return heard
}

/** Two nodes that listen; `heard` are the connections that a node was asked for, in their order. */
async function twoNodes(seed = 7) {
  const places = new Map<number, Place>()
  const accepted = new Map<number, Heard[]>()
  const world: World = new World({
    seed,
    nodes: 2,
    linkMs: [1, 1],
    program: async (place): Promise<Running> => {
      places.set(place.nodeId, place)
      accepted.set(place.nodeId, accepted.get(place.nodeId) ?? [])
      await place.runtime.network.listen(place.endpointOf(place.nodeId), (connection) =>
        accepted.get(place.nodeId)!.push(listen(connection)),
      )
      return { close: async () => {} }
    },
  })
  world.startAll()
  await world.advance(1)
  const connect = async (from: number, to: number, timeoutMs = 500): Promise<Heard> => {
    const place = places.get(from)!
    return listen(await world.settle(place.runtime.network.connect(place.endpointOf(to), timeoutMs)))
  }
  const inject = (action: FaultAction): void => world.inject({ number: 1, atMs: 0, ...action } as Fault)
  return { world, connect, inject, accepted: (node: number) => accepted.get(node)! }
}

const send = ({ connection }: Heard, text: string): void => connection.send([Buffer.from(text)])

const cut = (forMs: number, resets: boolean): FaultAction => ({
  kind: 'partition',
  shape: 'oneWay',
  links: [{ from: 1, to: 2 }],
  forMs,
  repeats: 0,
  resets,
})

describe('the simulated network', () => {
  test('a one-way cut holds back what is sent, and lets the answers through', async () => {
    const { world, connect, inject, accepted } = await twoNodes()
    const one = await connect(1, 2)
    await world.advance(5)
    const [two] = accepted(2)
    inject(cut(100, false))
    send(one, 'question')
    send(two!, 'answer')
    await world.advance(50)
    expect([two!.text, one.text]).toEqual(['', 'answer'])
    await world.advance(60)
    expect(two!.text).toBe('question')
    expect(one.closed).toBeUndefined()
  })

  test('what arrives is not memory of the sender, who may use it again once it is taken, or at once', async () => {
    const seen = new Set<boolean>()
    for (let seed = 1; seen.size < 2; seed++) {
      const { world, connect, accepted } = await twoNodes(seed)
      const { connection } = await connect(1, 2)
      await world.advance(5)
      const isCopied = connection.keepsNothing === true
      seen.add(isCopied)
      const small = Buffer.from('small')
      connection.send([small])
      // There is room for it, so that it has been taken either way.
      small.fill('x')
      const large = Buffer.alloc(300 << 10, 'y')
      connection.send([large])
      // Nobody has room for all of that.
      large.fill('z', large.length - 1)
      await world.advance(500)
      const { text } = accepted(2)[0]!
      expect(text).toBe(`small${'y'.repeat(large.length - 1)}${isCopied ? 'y' : 'z'}`)
      expect([small.toString(), large.indexOf('z')]).toEqual(['xxxxx', large.length - 1])
    }
  })

  test('a cut that resets breaks the connections that crossed it, on both sides', async () => {
    const { world, connect, inject, accepted } = await twoNodes()
    const one = await connect(1, 2)
    await world.advance(5)
    inject(cut(100, true))
    send(one, 'lost')
    await world.advance(150)
    expect(one.closed).toContain('broke')
    expect(accepted(2)[0]).toMatchObject({ text: '', closed: expect.stringContaining('broke') })
  })

  test('connecting waits for a cut link, and gives up in its time', async () => {
    const { world, connect, inject } = await twoNodes()
    inject(cut(800, false))
    const startedMs = world.nowMs
    await expect(connect(1, 2, 300)).rejects.toMatchObject({ code: 'networkException' })
    expect(world.nowMs - startedMs).toBeCloseTo(300, 0)
    const late = await connect(1, 2, 3000)
    expect(late.closed).toBeUndefined()
  })

  test('a reset comes at the byte that it was asked for at', async () => {
    for (const afterBytes of [0, 1, 7, 9]) {
      const { world, connect, inject, accepted } = await twoNodes()
      const one = await connect(1, 2)
      inject({ kind: 'reset', from: 1, to: 2, afterBytes })
      send(one, '0123')
      send(one, '456789')
      await world.advance(20)
      expect(accepted(2)[0]!.text).toBe('0123456789'.slice(0, afterBytes))
      expect(accepted(2)[0]!.closed).toContain('broke')
      expect(one.closed).toContain('broke')
    }
  })

  test('of a half-open connection the deaf side hears nothing, whatever it sends', async () => {
    const { world, connect, inject, accepted } = await twoNodes()
    const one = await connect(1, 2)
    await world.advance(5)
    inject({ kind: 'halfOpen', from: 1, to: 2, deaf: 'to' })
    const [two] = accepted(2)
    send(two!, 'anybody there?')
    await world.advance(1000)
    expect(one.closed).toContain('broke')
    expect(one.text).toBe('')
    expect(two!.closed).toBeUndefined()
    world.heal()
    await world.advance(10)
    expect(two!.closed).toContain('broke')
  })

  test('requests of an old connection may come after those of the new one', async () => {
    const { world, connect, inject, accepted } = await twoNodes()
    const order: string[] = []
    const old = await connect(1, 2)
    await world.advance(5)
    inject({ kind: 'lateRequests', from: 1, to: 2, lateMs: 90 })
    send(old, 'old')
    await world.advance(35)
    expect(old.closed).toContain('broke')
    send(await connect(1, 2), 'new')
    await world.advance(20)
    for (const { text } of accepted(2)) order.push(text)
    expect(order).toEqual(['', 'new'])
    await world.advance(50)
    expect(accepted(2).map(({ text }) => text)).toEqual(['old', 'new'])
    send(accepted(2)[0]!, 'too late')
    await world.advance(1000)
    expect(old.text).toBe('')
    expect(accepted(2)[0]!.closed).toContain('broke')
  })

  test('a process that is killed leaves what the system had taken, and the others are told', async () => {
    const { world, connect, inject, accepted } = await twoNodes()
    const one = await connect(1, 2)
    await world.advance(5)
    send(one, 'last words')
    inject({ kind: 'kill', node: 1, downMs: Number.POSITIVE_INFINITY })
    await world.advance(10)
    expect(accepted(2)[0]).toMatchObject({ text: 'last words', ended: true })
    expect(one.closed).toBeUndefined()
  })

  test('nobody hears of a power cut before the machine is back', async () => {
    const { world, connect, inject, accepted } = await twoNodes()
    await connect(1, 2)
    await world.advance(5)
    const [two] = accepted(2)
    inject({ kind: 'powerCut', node: 1, kept: 1, names: 'journalled', downMs: 100 })
    send(two!, 'hello?')
    await world.advance(90)
    expect([two!.ended, two!.closed]).toEqual([false, undefined])
    await world.advance(20)
    send(two!, 'hello!')
    await world.advance(10)
    expect(two!.closed).toContain('broke')
  })

  test('where no process listens connecting is refused at once', async () => {
    const { world, connect, inject } = await twoNodes()
    inject({ kind: 'kill', node: 2, downMs: Number.POSITIVE_INFINITY })
    const startedMs = world.nowMs
    await expect(connect(1, 2)).rejects.toThrow('refused')
    expect(world.nowMs - startedMs).toBeLessThan(10)
  })

  test('a chunk is gone after the call that it was handed over with', async () => {
    const kept: Uint8Array[] = []
    const world: World = new World({
      seed: 1,
      nodes: 1,
      program: async ({ runtime, endpointOf }): Promise<Running> => {
        await runtime.network.listen(endpointOf(1), (connection) =>
          connection.start({ data: (chunk) => kept.push(chunk), end() {}, drain() {}, close() {} }),
        )
        listen(await runtime.network.connect(endpointOf(1), 100)).connection.send([Buffer.from('secret')])
        return { close: async () => {} }
      },
    })
    world.startAll()
    await world.advance(10)
    expect(Buffer.concat(kept)).toHaveLength(6)
    expect(Buffer.concat(kept).toString('latin1')).not.toContain('e')
  })
})
