import type { CommitChecks } from './checkCommits.ts'
import { check, type LogFact, Violation } from './checkFacts.ts'

/** Which of an idempotent producer's appends it is. */
export interface ProducerPlace {
  readonly producer: number
  readonly epoch: number
  readonly sequence: number
}

/** An append that a client asked for. */
export interface AppendCall {
  readonly invokedAt: number
  /** Null when no idempotent producer sent it. */
  readonly place: ProducerPlace | null
  /** Of what was sent, as the client knows it. */
  readonly facts: readonly Pick<LogFact, 'hash'>[]
  /** Order of the answer; infinite while there is none. */
  doneAt: number
  /** -1 until the offset is known. */
  baseOffset: number
  lastOffset: number
  /** The client was told that it will never happen. */
  isRefused: boolean
}

/** A read of the end of the log, linearizable. */
export interface EndCall {
  readonly invokedAt: number
  readonly client: number
  doneAt: number
  end: number
}

interface Placed {
  /** Twice the exclusive end, and one more for reads: they come behind the append that ends there. */
  readonly place: number
  readonly invokedAt: number
  readonly doneAt: number
  readonly text: string
}

/**
 * What clients asked of one log and were told. Keeps no time of its own: the order of the calls is that of the events.
 * Checks I6, I7 (as a client sees it), I10, I12, I13 and I19 at once, I23 at the end.
 */
export class LogHistory {
  readonly #name: string
  readonly #commits: () => CommitChecks
  readonly #report: (violation: Violation) => void
  readonly #appends: AppendCall[] = []
  readonly #reads: EndCall[] = []
  readonly #ends = new Map<number, number>()
  /** From here on a relaxed policy has lost what was acknowledged. */
  #lostFrom = Number.POSITIVE_INFINITY
  #events = 0

  /** `report` hears what is broken: whoever calls is often a client that would take an error for one of the engine's. */
  constructor(name: string, commits: () => CommitChecks, report: (violation: Violation) => void) {
    this.#name = name
    this.#commits = commits
    this.#report = report
  }

  /** How many appends and reads there are. */
  get size(): number {
    return this.#appends.length + this.#reads.length
  }

  /** A client hands records over; `hashes` are of its batches, as `LogFact` has them. */
  append(hashes: readonly number[], place: ProducerPlace | null = null): AppendCall {
    const call: AppendCall = {
      invokedAt: this.#events++,
      place,
      facts: hashes.map((hash) => ({ hash })),
      doneAt: Number.POSITIVE_INFINITY,
      baseOffset: -1,
      lastOffset: -1,
      isRefused: false,
    }
    this.#appends.push(call)
    return call
  }

  /** The records are there, on a majority: acks=all. */
  acked(call: AppendCall, baseOffset: number, lastOffset: number): void {
    this.#guard(() => this.#acked(call, baseOffset, lastOffset))
  }

  #acked(call: AppendCall, baseOffset: number, lastOffset: number): void {
    call.doneAt = this.#events++
    call.baseOffset = baseOffset
    call.lastOffset = lastOffset
    const commits = this.#commits()
    check(
      lastOffset < commits.end,
      'I6',
      () => `${this.#name}: ${baseOffset} is acknowledged, committed is ${commits.end}`,
    )
    let at = baseOffset
    for (const { hash } of call.facts) {
      const entry = commits.at(at)
      check(
        entry !== null && entry.baseOffset === at && entry.hash === hash,
        'I6',
        () => `${this.#name}: other records are committed at ${at} than were acknowledged`,
      )
      at = entry!.lastOffset + 1
    }
    check(
      at === lastOffset + 1,
      'I6',
      () => `${this.#name}: ${baseOffset} is acknowledged up to ${lastOffset}`,
    )
  }

  /** The client was told that nothing of it is in the log, nor ever will be. */
  refused(call: AppendCall): void {
    call.doneAt = this.#events++
    call.isRefused = true
  }

  /** A client asks where the log ends, and means now; or, not linearizable, takes what a leader knows. */
  readEnd(client: number, isLinearizable = true): EndCall {
    const call = { invokedAt: this.#events++, client, doneAt: Number.POSITIVE_INFINITY, end: -1 }
    if (isLinearizable) this.#reads.push(call)
    return call
  }

  /** The answer: everything below `end` is committed. */
  endRead(call: EndCall, end: number): void {
    this.#guard(() => this.#endRead(call, end))
  }

  #endRead(call: EndCall, end: number): void {
    call.doneAt = this.#events++
    call.end = end
    const committed = this.#commits().end
    check(end <= committed, 'I7', () => `${this.#name}: a client is shown ${end}, committed is ${committed}`)
    const seen = this.#ends.get(call.client) ?? 0
    // A call that began before the last answer may show less.
    if (call.invokedAt < this.#lastAnswer(call.client)) return
    check(end >= seen, 'I7', () => `${this.#name}: client ${call.client} saw ${seen} and sees ${end}`)
    this.#ends.set(call.client, end)
    this.#answers.set(call.client, call.doneAt)
  }

  readonly #answers = new Map<number, number>()

  #lastAnswer(client: number): number {
    return this.#answers.get(client) ?? -1
  }

  /** A client reads records from `fromOffset` on; `facts` are whole batches, as it received them. */
  read(fromOffset: number, facts: readonly LogFact[]): void {
    this.#guard(() => this.#read(fromOffset, facts))
  }

  #read(fromOffset: number, facts: readonly LogFact[]): void {
    const commits = this.#commits()
    let at = fromOffset
    let isFirst = true
    for (const { baseOffset, lastOffset, epoch, hash } of facts) {
      check(
        lastOffset < commits.end,
        'I10',
        () => `${this.#name}: a client reads ${lastOffset}, committed is ${commits.end}`,
      )
      const fits = isFirst ? baseOffset <= at && lastOffset >= at : baseOffset === at
      check(fits, 'I12', () => `${this.#name}: a client asks for ${at} and reads ${baseOffset}`)
      const entry = commits.at(baseOffset)
      check(
        entry !== null &&
          entry.baseOffset === baseOffset &&
          entry.lastOffset === lastOffset &&
          entry.hash === hash &&
          entry.epoch === epoch,
        'I19',
        () => `${this.#name}: a client reads other bytes at ${baseOffset} than were committed`,
      )
      at = lastOffset + 1
      isFirst = false
    }
  }

  /** A relaxed policy has lost what was acknowledged at or above `fromOffset`, and said so. */
  lost(fromOffset: number): void {
    this.#lostFrom = Math.min(this.#lostFrom, fromOffset)
    this.#ends.clear()
  }

  /** I6, I13 and I23, over everything. */
  checkAtEnd(): void {
    this.#guard(() => {
      const places = this.#place()
      if (this.#lostFrom === Number.POSITIVE_INFINITY) checkOrder(this.#name, places)
    })
  }

  #guard(run: () => void): void {
    try {
      run()
    } catch (error) {
      if (!(error instanceof Violation)) throw error
      this.#report(error)
    }
  }

  /** Where in the log each call belongs. An append without an answer belongs where its records are found, or nowhere. */
  #place(): Placed[] {
    const { committed } = this.#commits()
    const offsets = new Map<number, number>()
    for (const { hash, baseOffset } of committed) {
      if (hash === 0) continue
      const other = offsets.get(hash)
      check(
        other === undefined,
        'I13',
        () => `${this.#name}: the records at ${other} are at ${baseOffset} too`,
      )
      offsets.set(hash, baseOffset)
    }
    const places: Placed[] = []
    const ends = new Map<
      number,
      {
        readonly place: ProducerPlace
        readonly offset: number
        /** The sequence that follows. */
        readonly next: number
      }
    >()
    for (const { invokedAt, doneAt, place, facts, baseOffset, lastOffset, isRefused } of this.#appends) {
      const found = facts.length === 0 ? undefined : offsets.get(facts[0]!.hash)
      if (baseOffset >= 0 && lastOffset < this.#lostFrom) {
        check(
          found === baseOffset,
          'I6',
          () => `${this.#name}: ${baseOffset} was acknowledged and is at ${found}`,
        )
      }
      if (found === undefined) continue
      check(!isRefused, 'I6', () => `${this.#name}: what was refused is in the log at ${found}`)
      if (place !== null) {
        // A producer asks in the order of its sequences; it may ask for the next one before it is told of this one.
        const before = ends.get(place.producer)
        check(
          before === undefined || before.offset < found,
          'I13',
          () =>
            `${this.#name}: producer ${place.producer} sent ${JSON.stringify(before?.place)} before ${JSON.stringify(place)}, they are at ${before?.offset} and ${found}`,
        )
        const next = before === undefined ? null : before.place.epoch === place.epoch ? before.next : 0
        check(
          next === null || place.sequence === next || this.#lostFrom !== Number.POSITIVE_INFINITY,
          'I13',
          () =>
            `${this.#name}: producer ${place.producer} has sequence ${place.sequence} of epoch ${place.epoch} at ${found}, where ${next} was to come`,
        )
        const records = this.#commits().at(found)!.lastOffset - found + 1
        ends.set(place.producer, { place, offset: found, next: place.sequence + records })
      }
      const end = this.#commits().at(found)!.lastOffset + 1
      places.push({ place: 2 * end, invokedAt, doneAt, text: `the append of ${found}` })
    }
    for (const { invokedAt, doneAt, end } of this.#reads) {
      if (end < 0) continue
      places.push({ place: 2 * end + 1, invokedAt, doneAt, text: `the read of the end ${end}` })
    }
    return places
  }
}

/**
 * I23: an order of all calls exists that the log and the clock agree with. The log fixes the order of the places, so that
 * it is enough that no call ended before one began that comes earlier in the log. Reads of one end may have any order.
 */
function checkOrder(name: string, places: Placed[]): void {
  places.sort((a, b) => a.place - b.place)
  let latest: Placed | null = null
  for (let at = 0; at < places.length; ) {
    let next = at
    const { place } = places[at]!
    while (next < places.length && places[next]!.place === place) {
      const call = places[next]!
      check(
        latest === null || call.doneAt > latest.invokedAt,
        'I23',
        () => `${name}: ${call.text} was over before ${latest?.text} began, which comes earlier in the log`,
      )
      next++
    }
    for (; at < next; at++) {
      const call = places[at]!
      if (latest === null || call.invokedAt > latest.invokedAt) latest = call
    }
  }
}
