import type { Outcome } from '../../controller/commands.ts'
import { EngineError } from '../../model/errors.ts'

/**
 * What became of each of `count` things that were to be changed together. When that could not even be decided all of them have
 * the reason: `notController` where nothing was done and asking again, perhaps another broker, is what helps. Rejects with
 * what is no `EngineError`.
 */
export async function outcomesOf<T>(
  count: number,
  change: Promise<readonly Outcome<T>[]>,
): Promise<readonly Outcome<T>[]> {
  try {
    return await change
  } catch (error) {
    if (!(error instanceof EngineError)) throw error
    const isUndone = error.code === 'leaderNotAvailable' || error.code === 'notLeaderOrFollower'
    const told = isUndone
      ? new EngineError('notController', 'There is no active controller at the moment.', { cause: error })
      : error
    return Array.from({ length: count }, () => told)
  }
}
