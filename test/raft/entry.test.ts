import { expect, test } from 'vitest'
import * as raft from '../../src/raft.ts'

test('whoever has only the entry can drive a group of one: events in, effects out', () => {
  const self = { id: 1, directoryId: 'AAAAAAAAAAAAAAAAAAAAAg' }
  const voters = new raft.VoterSet([{ ...self, endpoints: [], minVersion: 0, maxVersion: 1 }])
  const config: raft.RaftConfig = {
    clusterId: null,
    self,
    endpoints: [],
    kind: 'partition',
    relaxed: false,
    kraftVersion: 1,
    ...raft.defaultTimeouts,
    autoJoin: false,
    bootstrapIds: [],
    confirmation: 'none',
  }
  const node = new raft.RaftNode(
    config,
    { below: () => 0 },
    {
      quorum: raft.initialQuorumState,
      log: { logStartOffset: 0, logEndOffset: 0, epochStarts: [], snapshotId: null },
      voters: [{ offset: -1, version: 0, voters }],
      highWatermark: 0,
      mayHaveForgotten: false,
    },
  )
  const writes: number[] = []
  const run = (effects: readonly raft.Effect[]): void => {
    for (const effect of effects) if ('sequence' in effect) writes.push(effect.sequence)
  }
  const begun = node.start(0)
  run(begun)
  expect(begun.map(({ type }) => type)).toContain('confirmVote')
  expect(node.state).toBe('candidate')
  run(node.step({ type: 'voteDurable', epoch: node.leaderEpoch }, 0))
  expect(node.state).toBe('leader')
  run(node.step({ type: 'append', token: 'mine', recordCount: 3, records: new Uint8Array(30) }, 1))
  expect(node.highWatermark).toBe(0)
  run(node.step({ type: 'flushed', sequence: writes.at(-1)! }, 2))
  expect(node.highWatermark).toBe(3)
})
