import { beforeEach, describe, expect, test } from 'vitest'
import { EngineError, type EngineErrorName } from '../../../src/model/errors.ts'
import type { GroupAck } from '../../../src/replica/groupTypes.ts'
import { PipelinedProducer, type ProducerKind } from '../../../src/testing/brokers/pipelinedProducer.ts'
import type { AppendTarget } from '../../../src/testing/brokers/producerPartition.ts'

/** A request that waits for its answer. */
interface Sent {
  readonly to: string
  readonly node: number
  readonly epoch: number
  readonly sequence: number
  readonly acked: () => Promise<void>
  readonly failed: (code: EngineErrorName, leaderId?: number) => Promise<void>
}

const kinds: readonly ProducerKind[] = ['java', 'librdkafka', 'franz']
let nowMs: number
let timers: { readonly atMs: number; readonly run: () => void }[]
/** Not looked at so far. */
let sent: Sent[]
let unanswered: Sent[]
let broken: string[]
let ended: boolean[]

beforeEach(() => {
  nowMs = 0
  timers = []
  sent = []
  unanswered = []
  broken = []
  ended = []
})

/** What was sent since the last call, as partition, node, epoch and sequence. */
function taken(): string[] {
  const texts = sent.map(({ to, node, epoch, sequence }) => `${to} to ${node}: ${epoch}/${sequence}`)
  unanswered.push(...sent.splice(0))
  return texts
}

/** The last request of a sequence. */
function request(sequence: number, to = 'a'): Sent {
  taken()
  return unanswered.findLast((each) => each.sequence === sequence && each.to === to)!
}

async function pass(ms: number): Promise<void> {
  nowMs += ms
  const due = timers.filter(({ atMs }) => atMs <= nowMs)
  timers = timers.filter(({ atMs }) => atMs > nowMs)
  for (const { run } of due) run()
  await settled()
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve()
}

function target(name: string): AppendTarget {
  return {
    name,
    history: null,
    leader: () => -1,
    hashes: () => [],
    send: (node, bytes) =>
      new Promise<GroupAck>((resolve, reject) => {
        const [epoch, sequence] = bytes as unknown as [number, number]
        sent.push({
          ...{ to: name, node, epoch, sequence },
          acked: () => {
            resolve({ baseOffset: 0, lastOffset: 0, leaderEpoch: -1, duplicate: false })
            return settled()
          },
          failed: (code, leaderId = -1) => {
            reject(Object.assign(new EngineError(code, code), { leaderId }))
            return settled()
          },
        })
      }),
    ended: (ack) => ended.push(ack !== null),
    broken: (message) => broken.push(message),
  }
}

/** A producer that has been asked for `batches` of one record for partition `a`. */
function producing(kind: ProducerKind, batches: number, inFlight = 5): (to: string) => void {
  const producer = new PipelinedProducer(
    { id: 7, kind, inFlight, patienceMs: 1000 },
    {
      nodes: 3,
      get nowMs() {
        return nowMs
      },
      after: (delayMs, run) => timers.push({ atMs: nowMs + delayMs, run }),
    },
  )
  const append = (to: string): void =>
    producer.append(to, () => target(to), {
      node: 1,
      records: 1,
      encode: (_, epoch, sequence) => Uint8Array.of(epoch, sequence),
    })
  for (let batch = 0; batch < batches; batch++) append('a')
  return append
}

describe.each(kinds)('a producer like %s', (kind) => {
  test('has as many batches under way as it may, and sends the next one when one is acknowledged', async () => {
    producing(kind, 7, 3)
    expect(taken()).toEqual(['a to 1: 0/0', 'a to 1: 0/1', 'a to 1: 0/2'])
    await request(1).acked()
    expect(taken()).toEqual(['a to 1: 0/3'])
    await request(0).acked()
    expect(taken()).toEqual(['a to 1: 0/4'])
    expect(ended).toEqual([true, true])
  })

  test('sends everything of a lost connection again, in order and before anything new', async () => {
    producing(kind, 4, 3)
    for (const sequence of [0, 1, 2]) await request(sequence).failed('networkException')
    expect(taken()).toEqual([])
    await pass(20)
    const again = taken()
    expect(again[0]).toBe('a to 2: 0/0')
    if (kind !== 'java') expect(again).toEqual(['a to 2: 0/0', 'a to 2: 0/1', 'a to 2: 0/2'])
    const order: number[] = []
    for (const sequence of [0, 1, 2]) {
      await request(sequence).acked()
      order.push(...taken().map((text) => Number(text.at(-1))))
    }
    expect(order).toEqual(kind === 'java' ? [1, 2, 3] : [3])
    expect(broken).toEqual([])
  })

  test('begins a new epoch when it has given up what may be stored', async () => {
    const append = producing(kind, 1)
    await pass(999)
    await request(0).failed('requestTimedOut')
    await pass(1)
    expect(ended).toEqual([false])
    append('a')
    await pass(20)
    expect(taken()).toEqual(['a to 2: 1/0'])
    expect(broken).toEqual([])
  })

  test('says that it must not be told of a gap where everything came in order', async () => {
    producing(kind, 2)
    await request(0).failed('outOfOrderSequenceNumber')
    expect(broken).toHaveLength(1)
  })
})

describe('where clients differ', () => {
  test('java tries again what does not come next, in the same epoch', async () => {
    producing('java', 2)
    await request(1).failed('outOfOrderSequenceNumber')
    await pass(20)
    expect(taken()).toEqual([])
    await request(0).acked()
    expect(taken()).toEqual(['a to 1: 0/1'])
    expect(broken).toEqual([])
  })

  test('librdkafka gives what is not acknowledged a new epoch in every partition, once nothing is under way', async () => {
    const append = producing('librdkafka', 3)
    append('b')
    await request(1).failed('outOfOrderSequenceNumber')
    await request(2).failed('outOfOrderSequenceNumber')
    await request(0).acked()
    expect(broken).toHaveLength(1)
    await pass(20)
    expect(taken()).toEqual([])
    await request(0, 'b').failed('networkException')
    await pass(20)
    expect(taken().sort()).toEqual(['a to 1: 1/0', 'a to 1: 1/1', 'b to 2: 1/0'])
  })

  test('franz sends what is under way again as well', async () => {
    producing('franz', 3)
    await request(0).failed('notEnoughReplicas')
    await pass(20)
    expect(taken()).toEqual(['a to 1: 0/0', 'a to 1: 0/1', 'a to 1: 0/2'])
  })

  test.each<[ProducerKind, readonly string[]]>([
    ['java', ['a to 3: 0/0']],
    ['librdkafka', []],
    ['franz', []],
  ])('%s and what is under way to a former leader', async (kind, expected) => {
    producing(kind, 2)
    await request(0).failed('notLeaderOrFollower', 3)
    await pass(20)
    expect(taken()).toEqual(expected)
    await request(1).failed('notLeaderOrFollower', 3)
    await pass(40)
    expect(broken).toEqual([])
    if (kind !== 'java') expect(taken()).toEqual(['a to 3: 0/0', 'a to 3: 0/1'])
  })
})
