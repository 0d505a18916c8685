import type { RaftResponse } from '../../../src/raft.ts'
import { readBatches } from '../../../src/replica/wire/batches.ts'
import { encodeBatch } from '../../../src/segment/records.ts'
import { fetchAnswer } from '../peers/support.ts'
import type { Lone } from './lone.ts'

type FetchResponse = Extract<RaftResponse, { type: 'fetch' }>

/** Has node 1 follow `leader` in `epoch`. */
export async function follow(lone: Lone, leader: number, epoch: number): Promise<void> {
  lone.ask(
    {
      type: 'beginQuorumEpoch',
      clusterId: 'test-cluster',
      voter: { id: 1, directoryId: lone.logs.directoryId },
      leaderId: leader,
      leaderEpoch: epoch,
    },
    0,
    leader,
  )
  await lone.quiet()
}

/** Answers the Fetch that node 1 has sent last. */
export async function answer(
  lone: Lone,
  leader: number,
  epoch: number,
  change: Partial<FetchResponse>,
): Promise<void> {
  const sent = lone.sent.findLast(({ request }) => request.type === 'fetch' && !request.claimOnly)!
  lone.sent.length = 0
  const empty = { ...fetchAnswer(leader, -1), leaderEpoch: epoch, logEndOffset: 0 }
  lone.host.response(leader, sent.group, sent.requestId, { ...empty, ...change })
  await lone.quiet()
}

/** What a leader sends of `leaderEpoch`: one batch. */
export function records(lone: Lone, baseOffset: number, leaderEpoch: number, ...values: readonly string[]) {
  const bytes = encodeBatch(
    {
      baseOffset,
      leaderEpoch,
      records: values.map((value) => ({ key: null, value: Buffer.from(value), timestampMs: 1 })),
    },
    lone.runtime.checksum,
  )
  return readBatches(bytes, lone.runtime.checksum)
}

/** The start of an epoch. */
export const mark = (epoch: number, startOffset: number) => ({ epoch, startOffset, votersVersion: 0 })
