import { describe, expect, test } from 'vitest'
import { checkNodeOptions, type NodeOptions } from '../../src/engine/nodeOptions.ts'
import { EngineError } from '../../src/index.ts'
import { clusterIdOf } from '../../src/replica/nodes/nodeAddress.ts'

const voters = [
  { id: 1, host: 'one', port: 9001 },
  { id: 2, host: 'two', port: 9001 },
]
const sound: NodeOptions = { nodeId: 1, directory: './data', listen: '0.0.0.0:9001', voters }

describe('options of a node', () => {
  test('that make sense are taken', () => {
    expect(checkNodeOptions(sound)).toMatchObject({
      listen: { host: '0.0.0.0', port: 9001 },
      advertise: null,
      membership: { type: 'static', voters },
    })
    const { voters: _, ...alone } = sound
    expect(checkNodeOptions({ ...alone, bootstrap: true, listen: '[::1]:0' })).toMatchObject({
      listen: { host: '::1', port: 0 },
      membership: { type: 'bootstrap' },
    })
    expect(checkNodeOptions({ ...alone, nodeId: 7, join: voters }).membership).toEqual({
      type: 'join',
      others: voters,
    })
  })

  test.each([
    ['an option that does not exist', { voter: [] }, 'no option "voter"'],
    ['no id', { nodeId: undefined }, 'nodeId'],
    ['an id below 0', { nodeId: -1 }, 'nodeId'],
    ['half an id', { nodeId: 1.5 }, 'nodeId'],
    ['an id beyond an int32', { nodeId: 2 ** 31 }, 'nodeId'],
    ['no directory', { directory: '' }, 'directory'],
    ['no place to listen', { listen: undefined }, 'listen'],
    ['no port to listen on', { listen: 'localhost' }, 'listen'],
    ['a port that is none', { listen: 'localhost:99999' }, 'listen'],
    ['an address to advertise that is none', { advertise: 'here' }, 'advertise'],
    ['no voters', { voters: [] }, 'at least one node'],
    ['a voter twice', { voters: [voters[0], { ...voters[1], id: 1 }] }, 'node 1 twice'],
    ['two voters in one place', { voters: [voters[0], { ...voters[0], id: 2 }] }, 'two nodes at one:9001'],
    ['a voter without a host', { voters: [voters[0], { id: 2, port: 1 }] }, 'node 2 is'],
    ['a voter without a port', { voters: [voters[0], { id: 2, host: 'two' }] }, 'node 2 is'],
    ['a voter at port 0', { voters: [voters[0], { id: 2, host: 'two', port: 0 }] }, 'node 2 is'],
    ['a voter that is nothing', { voters: [voters[0], null] }, 'whole number'],
    ['a voter without an id', { voters: [voters[0], { host: 'two', port: 1 }] }, 'whole number'],
    ['voters without itself', { voters: [voters[1]] }, 'this node (1)'],
    ['no others at all', { voters: undefined }, 'one of voters, bootstrap and join'],
    ['two ways to know the others', { bootstrap: true }, 'one of voters, bootstrap and join'],
    ['itself to join', { voters: undefined, join: [voters[0]] }, 'other than this one'],
    ['a cluster id that is none', { clusterId: 'mine' }, 'clusterId'],
    ['no time to wait', { callTimeoutMs: 0 }, 'callTimeoutMs'],
    ['a timeout that does not exist', { timeouts: { leaderMs: 5 } }, 'no timeout "leaderMs"'],
    ['a timeout of nothing', { timeouts: { electionTimeoutMs: 0 } }, 'timeouts.electionTimeoutMs'],
    ['a journal that is too small', { journalBytes: 1000 }, 'journalBytes'],
  ])('with %s are refused', (_, change, text) => {
    let error: unknown
    try {
      checkNodeOptions({ ...sound, ...change } as NodeOptions)
    } catch (thrown) {
      error = thrown
    }
    expect(error).toBeInstanceOf(EngineError)
    expect(error).toMatchObject({ code: 'invalidConfig' })
    expect((error as EngineError).message).toContain(text)
  })
})

test('nodes that are told of the same voters know the same cluster, others another one', () => {
  const id = clusterIdOf(voters)
  expect(id).toMatch(/^[A-Za-z0-9_][\w-]{21}$/)
  expect(clusterIdOf(structuredClone(voters))).toBe(id)
  const others = new Set([id])
  for (let port = 1; port < 2000; port++) others.add(clusterIdOf([voters[0]!, { ...voters[1]!, port }]))
  expect(others.size).toBe(2000)
})
