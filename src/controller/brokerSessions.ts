/** A broker of which nothing was heard for too long. */
export interface ExpiredSession {
  readonly brokerId: number
  readonly brokerEpoch: number
}

interface Session {
  readonly brokerEpoch: number
  heardMs: number
}

/**
 * Which brokers the active controller has heard of lately. Only in memory and by a clock that tells durations: a new active
 * controller gives every broker a whole session. Time in which this process itself stood still counts for nobody.
 */
export class BrokerSessions {
  readonly #timeoutMs: number
  readonly #sessions = new Map<number, Session>()
  #lookedMs = 0

  /** A session ends when nothing is heard for `timeoutMs`. */
  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs
  }

  /** Begins anew with these brokers. */
  reset(brokers: Iterable<{ readonly id: number; readonly epoch: number }>, nowMs: number): void {
    this.#sessions.clear()
    this.#lookedMs = nowMs
    for (const { id, epoch } of brokers) this.heard(id, epoch, nowMs)
  }

  /** Something was heard of a broker in this registration. */
  heard(brokerId: number, brokerEpoch: number, nowMs: number): void {
    const known = this.#sessions.get(brokerId)
    if (known?.brokerEpoch === brokerEpoch) known.heardMs = nowMs
    else this.#sessions.set(brokerId, { brokerEpoch, heardMs: nowMs })
  }

  /** The broker says that it goes. */
  end(brokerId: number): void {
    this.#sessions.delete(brokerId)
  }

  /** Whether this registration of a broker was heard of within the timeout. */
  isLive(brokerId: number, brokerEpoch: number, nowMs: number): boolean {
    const known = this.#sessions.get(brokerId)
    return known?.brokerEpoch === brokerEpoch && nowMs - known.heardMs < this.#timeoutMs
  }

  /** Forgets the brokers that were not heard of in time, and gives them. To be asked at least every `expectedMs`. */
  takeExpired(nowMs: number, expectedMs: number): readonly ExpiredSession[] {
    const lostMs = nowMs - this.#lookedMs - 2 * expectedMs
    this.#lookedMs = nowMs
    const expired: ExpiredSession[] = []
    for (const [brokerId, session] of this.#sessions) {
      if (lostMs > 0) session.heardMs += lostMs
      if (nowMs - session.heardMs < this.#timeoutMs) continue
      this.#sessions.delete(brokerId)
      expired.push({ brokerId, brokerEpoch: session.brokerEpoch })
    }
    return expired
  }
}
