import type { RaftEvent } from '../raft.ts'
import { Waiter } from './tokens.ts'

/** Asks the core, by `step`, to give the lead to whoever has most of the log. Nothing happens where nobody can take it. */
export function handOver(step: (event: RaftEvent) => void): void {
  const token = new Waiter<void>()
  token.promise.catch(() => {})
  step({ type: 'transferLeadership', token, to: -1 })
}
