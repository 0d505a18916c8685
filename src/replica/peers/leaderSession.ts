import type { SendPart } from '../../model/fileRange.ts'
import { partBytes } from '../../model/fileRange.ts'
import type { quorumApis } from '../../protocol/quorumApis.ts'
import type { Infer, InferInput } from '../../protocol/schema.ts'
import type { Incarnation } from '../../raft.ts'
import type { Timer } from '../../runtime/clock.ts'
import { type GroupKey, type GroupRef, groupKey, type TransportHandler } from '../transport.ts'
import { errorNumber, type RequestOf, type ResponseOf } from '../wire/common.ts'
import {
  fetchResponseBody,
  type ReceivedFetch,
  readFetchRequest,
  type SessionAnswer,
} from '../wire/fetchMessages.ts'
import type { PeerLimits, PeerRuntime } from './peerOptions.ts'

type FetchBody = Infer<typeof quorumApis.fetch.request>
type Answer = (body: InferInput<typeof quorumApis.fetch.response>) => void

/** One group of the session. */
interface Entry {
  readonly group: GroupRef
  start: Incarnation
  /** The session epochs of the requests that wait for an answer, -1 for none. */
  fetch: number
  claim: number
  /** When its Fetch was answered last. */
  answeredMs: number
}

/** How long the core may keep a Fetch: the session's messages have times of their own. */
const untilThereIsSomething = 0x7fff_ffff
const lastSessionEpoch = 0x7fff_ffff
/** How long a replica may take to store what it was brought before it fetches again: it says so when it follows no longer. */
const storingMs = 10_000

/**
 * The leader's side of the one session with a follower's node. The core keeps each group's Fetch until it has something; the
 * answers of one turn leave together, in the order in which they were given, so that nobody is left out where they do not
 * fit into one message. While there are none, the follower's message waits, and one timer does for all groups.
 */
export class LeaderSession {
  readonly #runtime: PeerRuntime
  readonly #limits: PeerLimits
  readonly #node: number
  readonly #handler: TransportHandler
  readonly #sessionId: number
  readonly #entries = new Map<GroupKey, Entry>()
  /** Messages without an answer, the oldest first. */
  #waiting: { readonly answer: Answer; readonly deadlineMs: number }[] = []
  #ready: SessionAnswer[] = []
  #isFlushing = false
  #nextEpoch = 0
  #askedMs = Number.NEGATIVE_INFINITY
  #timer: Timer | null = null
  #isClosed = false

  constructor(runtime: PeerRuntime, limits: PeerLimits, node: number, handler: TransportHandler) {
    this.#runtime = runtime
    this.#limits = limits
    this.#node = node
    this.#handler = handler
    this.#sessionId = 1 + runtime.random.below(0x7fff_fffe)
  }

  /** Takes a message of the session; `answer` is called once, unless the session closes first. */
  take(body: FetchBody, answer: Answer): void {
    const { envelope, fetches, forgotten } = readFetchRequest(body)
    if (envelope.sessionEpoch === 0) this.#begin()
    else if (envelope.sessionId !== this.#sessionId || this.#nextEpoch === 0) {
      answer({ errorCode: errorNumber('fetchSessionIdNotFound') })
      return
    } else if (envelope.sessionEpoch !== this.#nextEpoch) {
      answer({ errorCode: errorNumber('invalidFetchSessionEpoch') })
      return
    }
    this.#nextEpoch = envelope.sessionEpoch === lastSessionEpoch ? 1 : envelope.sessionEpoch + 1
    this.#askedMs = this.#runtime.clock.monotonicMs()
    // The first one does not wait: nothing can follow it before the follower knows its session.
    const longestMs = envelope.sessionEpoch === 0 ? 0 : this.#limits.sessionWaitMs
    const waitMs = Math.min(Math.max(envelope.maxWaitMs, 0), longestMs)
    this.#waiting.push({ answer, deadlineMs: this.#askedMs + waitMs })
    for (const group of forgotten) this.#entries.delete(groupKey(group))
    for (const fetch of fetches) this.#hand(fetch, envelope.sessionEpoch)
    // One message waits at a time. The one before it takes along what this one has asked for, so that what comes next need not
    // wait for another message.
    if (this.#ready.length > 0 || waitMs === 0 || this.#waiting.length > 1) this.#flushSoon()
    else this.#watch()
  }

  /** Lets the oldest message go, so that what follows it on the connection does not stand behind it. */
  letGo(): void {
    while (this.#waiting.length > 0) this.#answerOldest()
  }

  /** When the follower's node asked last. */
  get lastAskedMs(): number {
    return this.#isClosed ? Number.NEGATIVE_INFINITY : this.#askedMs
  }

  /** See `Transport.followerContactMs`. */
  contactMs(group: GroupRef): number {
    const entry = this.#entries.get(groupKey(group))
    if (entry === undefined) return Number.NEGATIVE_INFINITY
    return entry.fetch >= 0 ? this.#askedMs : Math.min(this.#askedMs, entry.answeredMs + storingMs)
  }

  /** Answers nothing any more. */
  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
    this.#timer = null
    this.#waiting = []
    this.#ready = []
    this.#entries.clear()
  }

  #begin(): void {
    this.#entries.clear()
    this.#ready = []
    this.letGo()
  }

  #hand({ group, request, incarnation, atOnce }: ReceivedFetch, sessionEpoch: number): void {
    const key = groupKey(group)
    let entry = this.#entries.get(key)
    if (entry === undefined) {
      entry = {
        group,
        start: incarnation ?? noStart(request.replica),
        fetch: -1,
        claim: -1,
        answeredMs: this.#askedMs,
      }
      this.#entries.set(key, entry)
    } else if (incarnation !== null) entry.start = incarnation
    const slot = request.claimOnly ? 'claim' : 'fetch'
    entry[slot] = sessionEpoch
    const asked = entry
    const whole = wholeOf(request, atOnce ? 0 : untilThereIsSomething, entry.start)
    this.#handler.request(this.#node, group, whole, (response, records) => {
      if (response.type === 'fetch') this.#answered(asked, slot, sessionEpoch, response, records)
    })
  }

  #answered(
    entry: Entry,
    slot: 'fetch' | 'claim',
    askedIn: number,
    response: ResponseOf<'fetch'>,
    records: readonly SendPart[],
  ): void {
    // What was asked anew, or is forgotten, wants no answer any more.
    const { group } = entry
    if (this.#isClosed || this.#entries.get(groupKey(group)) !== entry || entry[slot] !== askedIn) return
    entry[slot] = -1
    entry.answeredMs =
      response.error === 'none' ? this.#runtime.clock.monotonicMs() : Number.NEGATIVE_INFINITY
    this.#ready.push({ group, response, records, askedIn, isClaim: slot === 'claim' })
    this.#flushSoon()
  }

  #flushSoon(): void {
    if (this.#isFlushing) return
    this.#isFlushing = true
    queueMicrotask(() => {
      this.#isFlushing = false
      this.#flush()
    })
  }

  /** Answers as long as there is something to say, or no time left to wait for it. */
  #flush(): void {
    const nowMs = this.#runtime.clock.monotonicMs()
    while (
      this.#waiting.length > 1 ||
      (this.#waiting.length > 0 && (this.#ready.length > 0 || this.#waiting[0]!.deadlineMs <= nowMs))
    ) {
      this.#answerOldest()
    }
    this.#watch()
  }

  /** Answers the oldest message with what is ready, as much as may go at once. */
  #answerOldest(): void {
    const { maxAnswerBytes, maxGroups } = this.#limits
    const ready = this.#ready
    let count = 0
    let bytes = 0
    while (count < ready.length && count < maxGroups) {
      const next = ready[count]!.records.reduce((sum, part) => sum + partBytes(part), 0)
      if (count > 0 && bytes + next > maxAnswerBytes) break
      bytes += next
      count++
    }
    const { answer } = this.#waiting.shift()!
    answer(fetchResponseBody(this.#sessionId, ready.splice(0, count)))
  }

  #watch(): void {
    const oldest = this.#waiting[0]
    if (this.#timer !== null || oldest === undefined) return
    const { clock } = this.#runtime
    const delayMs = Math.max(1, Math.ceil(oldest.deadlineMs - clock.monotonicMs()))
    this.#timer = clock.setTimer(delayMs, () => {
      this.#timer = null
      this.#flush()
    })
  }
}

/** The request as the core has it. Kept for as long as it waits: spread, each of ten thousand would have a hidden class of its own. */
function wholeOf(
  request: ReceivedFetch['request'],
  maxWaitMs: number,
  incarnation: Incarnation,
): RequestOf<'fetch'> {
  return {
    type: 'fetch',
    clusterId: request.clusterId,
    replica: request.replica,
    currentLeaderEpoch: request.currentLeaderEpoch,
    fetchOffset: request.fetchOffset,
    lastFetchedEpoch: request.lastFetchedEpoch,
    highWatermark: request.highWatermark,
    maxWaitMs,
    flushedOffset: request.flushedOffset,
    flushedVotersVersion: request.flushedVotersVersion,
    votersVersion: request.votersVersion,
    claimOnly: request.claimOnly,
    damaged: request.damaged,
    quarantined: request.quarantined,
    round: request.round,
    incarnation,
  }
}

/** Stands for a start that was never told. */
function noStart({ id, directoryId }: { readonly id: number; readonly directoryId: string }): Incarnation {
  return { id, directoryId, incarnation: 0, startNonce: 0, earlierNonces: [] }
}
