import { EngineError } from '../model/errors.ts'

/** Only the leader can do this; `leaderId` is where to go, -1 when this replica does not know. */
export class NotLeaderError extends EngineError {
  override readonly name = 'NotLeaderError'
  readonly leaderId: number

  constructor(leaderId: number) {
    super('notLeaderOrFollower', leaderId < 0 ? 'nobody is known to lead' : `node ${leaderId} leads`)
    this.leaderId = leaderId
  }
}
