import { afterEach, expect, test } from 'vitest'
import { EngineError } from '../../../src/model/errors.ts'
import { startNode, startNodes, type TestNode } from './support.ts'

let nodes: TestNode[] = []
afterEach(async () => {
  for (const { transport } of nodes.splice(0)) await transport.close()
})

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)
const plain = (payload: Uint8Array): number[] => [...payload]

async function two(options = {}): Promise<[TestNode, TestNode]> {
  nodes = await startNodes(2, options)
  return [nodes[0]!, nodes[1]!]
}

test('a call is carried out by the other node, and answers may overtake each other', async () => {
  const [a, b] = await two()
  let finishFirst: (answer: Uint8Array) => void = () => {}
  b.recorder.call = (from, payload) => {
    if (payload[0] !== 1) return Promise.resolve(bytes(from, ...payload))
    return new Promise((resolve) => {
      finishFirst = resolve
    })
  }
  const first = a.transport.call(2, bytes(1), 60_000)
  const second = a.transport.call(2, bytes(2), 60_000)
  expect(plain(await second)).toEqual([1, 2])
  finishFirst(bytes(9))
  expect(plain(await first)).toEqual([9])
})

test('ten thousand calls at once come back, each with its own answer', async () => {
  const [a, b] = await two({ limits: { maxCallsInFlight: 50 } })
  b.recorder.call = async (_, payload) => payload.slice()
  const answers = await Promise.all(
    Array.from({ length: 10_000 }, (_, i) => a.transport.call(2, bytes(i >> 8, i & 255), 60_000)),
  )
  expect(answers.every((answer, i) => answer[0] === i >> 8 && answer[1] === (i & 255))).toBe(true)
})

test('a call ends with what the other node threw, when it takes too long, and when the node goes', async () => {
  const [a, b] = await two()
  b.recorder.call = async (_, payload) => {
    if (payload[0] === 1) throw new EngineError('notLeaderOrFollower', 'elsewhere')
    if (payload[0] === 2) throw new Error('a bug')
    return new Promise(() => {})
  }
  await expect(a.transport.call(2, bytes(1), 60_000)).rejects.toMatchObject({ code: 'notLeaderOrFollower' })
  await expect(a.transport.call(2, bytes(2), 60_000)).rejects.toMatchObject({ code: 'unknownServerError' })
  await expect(a.transport.call(2, bytes(3), 20)).rejects.toMatchObject({ code: 'requestTimedOut' })
  const open = a.transport.call(2, bytes(3), 60_000)
  await b.transport.close()
  await expect(open).rejects.toMatchObject({ code: 'brokerNotAvailable' })
  await expect(a.transport.call(2, bytes(3), 60_000)).rejects.toMatchObject({ code: 'brokerNotAvailable' })
  await expect(a.transport.call(9, bytes(3), 60_000)).rejects.toMatchObject({ code: 'brokerNotAvailable' })
})

test('whoever takes no calls refuses them, and a closed transport makes none', async () => {
  const [a] = await two()
  await expect(a.transport.call(2, bytes(1), 60_000)).rejects.toMatchObject({ code: 'unsupportedVersion' })
  const other = startNode(3)
  other.transport.know(2, [{ name: 'x', host: '127.0.0.1', port: 1 }])
  await other.transport.close()
  await expect(other.transport.call(2, bytes(1), 60_000)).rejects.toMatchObject({
    code: 'brokerNotAvailable',
  })
})
