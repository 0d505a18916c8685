import { EngineError } from '../../model/errors.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Group } from '../group.ts'

/** How soon a replica asks for votes again, in milliseconds. */
const againMs = 100

/**
 * An operator accepts that records may be lost: a replica stands until a majority of the voters has voted, those that may have
 * forgotten something counted like all others. Voters that have more records do not vote for it: it is to be asked of each node that
 * is there. Resolves once somebody leads. Rejects after `timeoutMs` with `electionNotNeeded` where it did not stand, since it has
 * heard of a leader all the time, or `eligibleLeadersNotAvailable` where too few have voted. Source: fault model, section 2.
 */
export async function electUnclean(group: Group, clock: Clock, timeoutMs: number): Promise<void> {
  const endMs = clock.monotonicMs() + timeoutMs
  const { leaderEpoch } = group
  let hasStood = false
  while (group.leaderId < 0 || group.leaderEpoch === leaderEpoch) {
    if (group.failure !== null) throw group.failure
    if (group.state === 'leader' || clock.monotonicMs() >= endMs) throw refusal(hasStood)
    try {
      await group.uncleanElection()
      hasStood = true
    } catch (error) {
      // It follows, or may not stand: whether that stays so is seen in time.
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
