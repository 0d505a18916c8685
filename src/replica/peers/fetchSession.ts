import { planted } from '../../model/planted.ts'
import { quorumApis } from '../../protocol/quorumApis.ts'
import type { Infer } from '../../protocol/schema.ts'
import { type GroupKey, type GroupRef, groupKey, type TransportHandler } from '../transport.ts'
import { errorName, type RequestOf } from '../wire/common.ts'
import {
  type FetchEnvelope,
  fetchRequestBody,
  type ReceivedAnswer,
  readFetchResponse,
  type SessionFetch,
} from '../wire/fetchMessages.ts'
import type { Channel } from './channel.ts'
import type { PeerLimits, PeerRuntime } from './peerOptions.ts'

type FetchRequest = RequestOf<'fetch'>

/** A Fetch of the core that has no answer yet. */
interface Outstanding {
  readonly requestId: number
  readonly request: FetchRequest
  /** The session epoch of the message that carried it; -1 before one has. */
  sentIn: number
}

/** One group of the session. */
interface Entry {
  readonly group: GroupRef
  fetch: Outstanding | null
  claim: Outstanding | null
  /** The leader has heard of the group in this session, and of the start of its replica. */
  isKnown: boolean
  /** The next Fetch is to be answered at once: the core does not know yet that its leader answers. */
  isUnsure: boolean
}

/** Messages that may be on their way: one that waits at the leader, and one that brings what is new. */
const mostInFlight = 2
const lastSessionEpoch = 0x7fff_ffff

/**
 * The follower's side of the one session with a leader's node: all groups that fetch there, in messages that carry only
 * what has changed. While nothing does, one empty message after the other waits at the leader and proves both sides alive,
 * whatever the number of groups. A second message may follow while one waits; the leader answers the first one then.
 * Source: KIP-227.
 */
export class FetchSession {
  readonly #runtime: PeerRuntime
  readonly #limits: PeerLimits
  readonly #identity: { readonly clusterId: string | null; readonly replicaId: number }
  readonly #node: number
  readonly #channel: Channel
  readonly #handler: TransportHandler
  readonly #entries = new Map<GroupKey, Entry>()
  /** Groups with something to send, first come first served. */
  #changed = new Set<Entry>()
  #forgotten: GroupRef[] = []
  #outstanding = 0
  #inFlight = 0
  #sessionId = 0
  #sessionEpoch = 0
  /** Tells a session from those before it. */
  #generation = 0
  #answeredEpoch = -1
  #answeredMs = Number.NEGATIVE_INFINITY

  constructor(
    runtime: PeerRuntime,
    limits: PeerLimits,
    identity: { readonly clusterId: string | null; readonly replicaId: number },
    node: number,
    channel: Channel,
    handler: TransportHandler,
  ) {
    this.#runtime = runtime
    this.#limits = limits
    this.#identity = identity
    this.#node = node
    this.#channel = channel
    this.#handler = handler
  }

  /** Whether there is anything to send, or to wait for. */
  get isWanted(): boolean {
    return this.#outstanding > 0 || (this.#forgotten.length > 0 && this.#channel.isOpen)
  }

  /** Takes a Fetch; returns the id of one that it replaces, which will not be answered, or null. */
  add(group: GroupRef, requestId: number, request: FetchRequest): number | null {
    const key = groupKey(group)
    let entry = this.#entries.get(key)
    if (entry === undefined) {
      entry = { group, fetch: null, claim: null, isKnown: false, isUnsure: true }
      this.#entries.set(key, entry)
    }
    const slot = request.claimOnly ? 'claim' : 'fetch'
    const old = entry[slot]
    if (old === null) this.#outstanding++
    entry[slot] = { requestId, request, sentIn: -1 }
    this.#changed.add(entry)
    return old?.requestId ?? null
  }

  /** Drops a group; returns the ids of its requests, which will not be answered. */
  forget(group: GroupRef): readonly number[] {
    const key = groupKey(group)
    const entry = this.#entries.get(key)
    if (entry === undefined) return []
    this.#entries.delete(key)
    this.#changed.delete(entry)
    if (entry.isKnown) this.#forgotten.push(entry.group)
    return this.#drop(entry)
  }

  /** Forgets the session; returns what will not be answered. */
  reset(): readonly (readonly [GroupRef, number])[] {
    const lost: [GroupRef, number][] = []
    for (const entry of this.#entries.values()) {
      for (const requestId of this.#drop(entry)) lost.push([entry.group, requestId])
    }
    this.#entries.clear()
    this.#changed.clear()
    this.#begin()
    return lost
  }

  /** Sends what may be sent. The channel is open. */
  flush(): void {
    // Nothing follows the first message before it is answered: that names the session.
    while (this.#inFlight < (this.#sessionId === 0 ? 1 : mostInFlight) && !this.#channel.isFull) {
      const hasNews = this.#changed.size > 0 || this.#forgotten.length > 0
      if (!hasNews && (this.#inFlight > 0 || this.#outstanding === 0)) return
      this.#send()
    }
  }

  /** When the leader's node answered last in this session. */
  get lastAnswerMs(): number {
    return this.#answeredMs
  }

  /** See `Transport.leaderContactMs`. */
  contactMs(group: GroupRef): number {
    const fetch = this.#entries.get(groupKey(group))?.fetch
    const isThere = fetch != null && fetch.sentIn >= 0 && fetch.sentIn <= this.#answeredEpoch
    return isThere ? this.#answeredMs : Number.NEGATIVE_INFINITY
  }

  #drop(entry: Entry): readonly number[] {
    const ids: number[] = []
    for (const slot of ['fetch', 'claim'] as const) {
      const outstanding = entry[slot]
      if (outstanding === null) continue
      ids.push(outstanding.requestId)
      entry[slot] = null
      this.#outstanding--
    }
    return ids
  }

  /** Everything is new to the leader again. */
  #begin(): void {
    this.#generation++
    this.#inFlight = 0
    this.#sessionId = 0
    this.#sessionEpoch = 0
    this.#answeredEpoch = -1
    this.#answeredMs = Number.NEGATIVE_INFINITY
    this.#forgotten = []
    for (const entry of this.#entries.values()) {
      entry.isKnown = false
      entry.isUnsure = true
      if (entry.fetch) entry.fetch.sentIn = -1
      if (entry.claim) entry.claim.sentIn = -1
      this.#changed.add(entry)
    }
  }

  #send(): void {
    const { sessionWaitMs, requestTimeoutMs, maxAnswerBytes } = this.#limits
    const sessionEpoch = this.#sessionEpoch
    this.#sessionEpoch = sessionEpoch === lastSessionEpoch ? 1 : sessionEpoch + 1
    const envelope: FetchEnvelope = {
      clusterId: this.#identity.clusterId,
      replicaId: this.#identity.replicaId,
      sessionId: this.#sessionId,
      sessionEpoch,
      maxWaitMs: sessionWaitMs,
      maxBytes: maxAnswerBytes,
    }
    const body = fetchRequestBody(envelope, this.#takeChanged(sessionEpoch), this.#forgotten)
    this.#forgotten = []
    this.#inFlight++
    const generation = this.#generation
    this.#channel.request(quorumApis.fetch, body, sessionWaitMs + requestTimeoutMs, (answer) => {
      if (generation === this.#generation || planted('lateAnswerTaken')) this.#answered(sessionEpoch, answer)
    })
  }

  #takeChanged(sessionEpoch: number): readonly SessionFetch[] {
    const fetches: SessionFetch[] = []
    for (const entry of this.#changed) {
      if (fetches.length >= this.#limits.maxGroups) break
      this.#changed.delete(entry)
      for (const outstanding of [entry.fetch, entry.claim]) {
        if (outstanding === null || outstanding.sentIn >= 0) continue
        outstanding.sentIn = sessionEpoch
        const { request } = outstanding
        const atOnce = entry.isUnsure && !request.claimOnly
        fetches.push({ group: entry.group, request, tellsStart: !entry.isKnown, atOnce })
        entry.isKnown = true
      }
    }
    return fetches
  }

  #answered(sessionEpoch: number, body: Infer<typeof quorumApis.fetch.response>): void {
    this.#inFlight--
    if (body.errorCode !== 0) {
      this.#refused(sessionEpoch, body.errorCode)
      return
    }
    if (sessionEpoch === 0) this.#sessionId = body.sessionId
    this.#answeredEpoch = sessionEpoch
    this.#answeredMs = this.#runtime.clock.monotonicMs()
    const generation = this.#generation
    for (const answer of readFetchResponse(body, this.#runtime.checksum)) {
      // Whoever is told may end the session.
      if (generation === this.#generation) this.#deliver(answer)
    }
    if (generation === this.#generation) this.flush()
  }

  /** The leader does not know the session: it begins anew. One that it will not begin is none. */
  #refused(sessionEpoch: number, errorCode: number): void {
    const error = errorName(errorCode)
    const isUnknown = error === 'fetchSessionIdNotFound' || error === 'invalidFetchSessionEpoch'
    if (!isUnknown || sessionEpoch === 0) {
      this.#channel.giveUp(`it refused the session: ${error}`)
      return
    }
    this.#begin()
    this.flush()
  }

  #deliver({ group, askedIn, isClaim, response, damage }: ReceivedAnswer): void {
    const entry = this.#entries.get(groupKey(group))
    const slot = isClaim ? 'claim' : 'fetch'
    const asked = entry?.[slot]
    // What was asked before, or of a group that fetches elsewhere by now, is of no use.
    if (entry === undefined || !asked) return
    const isAsked = askedIn === -1 ? asked.sentIn >= 0 : askedIn === asked.sentIn
    if (!isAsked && !planted('lateAnswerTaken')) return
    entry[slot] = null
    this.#outstanding--
    entry.isUnsure = damage !== null || response.error !== 'none'
    if (damage === null) this.#handler.response(this.#node, entry.group, asked.requestId, response)
    else this.#handler.failed(entry.group, asked.requestId, damage)
  }
}
