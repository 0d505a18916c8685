import { EngineError, type EngineErrorName } from '../model/errors.ts'
import type { RaftResponse } from '../raft.ts'
import type { GroupAck } from './groupTypes.ts'
import { NotLeaderError } from './notLeader.ts'

/** Why the core has refused something, as an error. */
export function refusal(error: EngineErrorName, leaderId: number): EngineError {
  if (error === 'notLeaderOrFollower') return new NotLeaderError(leaderId)
  return new EngineError(error, reasons[error] ?? 'the group cannot do this now')
}

/** What can be said of an error where nothing but the error is known. */
const reasons: Partial<Record<EngineErrorName, string>> = {
  voterNotFound: 'there is no voter with this id and this directory id',
  duplicateVoter: 'a voter has this id already',
}

/** Somebody of this process who waits for the core to do something; the core hands it back. */
export class Waiter<T> {
  readonly promise: Promise<T>
  #resolve!: (value: T) => void
  #reject!: (error: unknown) => void

  constructor() {
    this.promise = new Promise<T>((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  resolve(value: T): void {
    this.#resolve(value)
  }

  reject(error: unknown): void {
    this.#reject(error)
  }
}

/** An append on its way. */
export class AppendWaiter extends Waiter<GroupAck> {
  readonly acks: 'all' | 'leader'
  /** What the core has said; null before it has. */
  ack: GroupAck | null = null

  constructor(acks: 'all' | 'leader') {
    super()
    this.acks = acks
  }
}

/** An append whose caller knows where it lies and waits for nothing but offsets. */
export class PlacedAppend {
  /** Why the core has not taken it; null while it has not said so, which it does at once. */
  refusal: EngineError | null = null

  reject(error: EngineError): void {
    this.refusal = error
  }
}

/** Somebody of this process who asked what other nodes ask, too. */
export class LocalRequest extends Waiter<void> {
  /** The core's answer. */
  answer(response: RaftResponse): void {
    if (response.error === 'none') this.resolve()
    else this.reject(refusal(response.error, response.leaderId))
  }
}
