import { EngineError } from '../../model/errors.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Group } from '../group.ts'

/** How soon replicas ask for votes again, in milliseconds. */
const againMs = 100

/**
 * An operator accepts that records may be lost: replicas stand until a majority of the voters has voted, those that may have
 * forgotten something counted like all others. Whoever has more records does not vote: so `stand` has the replica of another node
 * stand, too, and is called for each voter again and again. Resolves once somebody leads. Rejects after `timeoutMs` with
 * `electionNotNeeded` where the replica here never stood, since it has heard of a leader all the time, or
 * `eligibleLeadersNotAvailable` where too few have voted. Source: fault model, section 2.
 */
export async function electUnclean(
  group: Group,
  self: number,
  stand: (id: number) => Promise<unknown>,
  clock: Clock,
  timeoutMs: number,
): Promise<void> {
  const endMs = clock.monotonicMs() + timeoutMs
  const { leaderEpoch } = group
  const others = group.voters.voters.voters.filter(({ id }) => id !== self)
  let hasStood = false
  while (group.leaderId < 0 || group.leaderEpoch === leaderEpoch) {
    if (group.failure !== null) throw group.failure
    if (group.state === 'leader' || clock.monotonicMs() >= endMs) throw refusal(hasStood)
    // Who is not there, follows, or may not stand, says so: whether that stays so is seen in time.
    for (const { id } of others) stand(id).catch(() => {})
    try {
      await group.uncleanElection()
      hasStood = true
    } catch (error) {
      if (!(error instanceof EngineError) || error.code === 'closed') throw error
    }
    await new Promise<void>((resolve) => clock.setTimer(againMs, resolve))
  }
}

function refusal(hasStood: boolean): EngineError {
  return hasStood
    ? new EngineError('eligibleLeadersNotAvailable', 'too few voters have given their vote')
    : new EngineError('electionNotNeeded', 'somebody leads, as far as this replica knows')
}
