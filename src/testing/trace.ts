import type { Effect } from '../raft/effects.ts'
import type { RaftEvent } from '../raft/events.ts'
import type { RaftRequest, RaftResponse } from '../raft/messages.ts'
import type { RaftState } from '../raft/states.ts'
import { describeMessage, messageKey, senderOf } from './traceText.ts'

/** One thing that happened, as far as somebody who reads of it wants to know. */
export interface TraceEvent {
  /** Grows with every event of the trace. */
  readonly order: number
  /** By the world's clock. */
  readonly atMs: number
  /** -1 for what concerns no node. */
  readonly node: number
  readonly kind:
    | 'start'
    | 'stop'
    | 'state'
    | 'log'
    | 'commit'
    | 'send'
    | 'alarm'
    | 'fault'
    | 'client'
    | 'note'
  readonly text: string
  /** The state that a `state` enters. */
  readonly state: RaftState | null
  /** Where a `send` goes; -1 otherwise. */
  readonly to: number
  /** When a `send` arrived; -1 while it has not. */
  arrivedMs: number
  /** The event after which it arrived; -1 while it has not. */
  arrivedOrder: number
}

/** How a `Trace` is to be. */
export interface TraceOptions {
  /** How many events of each node stay; 200 by default. */
  readonly keep?: number
  /** The time of the world. */
  readonly now: () => number
}

/** The last events of each node, for whoever wants to know how it came to a failure. */
export class Trace {
  readonly #keep: number
  readonly #now: () => number
  readonly #events = new Map<number, TraceEvent[]>()
  /** Messages under way. */
  readonly #flying = new Map<string, TraceEvent[]>()
  #order = 0

  constructor({ keep = 200, now }: TraceOptions) {
    this.#keep = keep
    this.#now = now
  }

  /** The events that are kept, in the order in which they happened. */
  get events(): readonly TraceEvent[] {
    return [...this.#events.values()].flat().sort((a, b) => a.order - b.order)
  }

  /** A line for each event that is kept. */
  get text(): string {
    const lines = this.events.map(({ atMs, node, kind, text, to, arrivedMs }) => {
      const where = node < 0 ? '' : ` ${node}`
      const travel = to < 0 ? '' : ` → ${to}${arrivedMs < 0 ? '' : ` (${(arrivedMs - atMs).toFixed(1)} ms)`}`
      return `${atMs.toFixed(3).padStart(12)}${where}${travel} ${kind === 'send' ? '' : `${kind}: `}${text}\n`
    })
    return lines.join('')
  }

  /** Something that happened on a node, or on none when `node` is -1. */
  note(node: number, kind: TraceEvent['kind'], text: string, state: RaftState | null = null): void {
    this.#add(node, kind, text, state, -1)
  }

  /** A replica has taken a step. */
  stepped(node: number, event: RaftEvent | null, effects: readonly Effect[]): void {
    if (event !== null) this.#arrived(node, event)
    for (const effect of effects) this.#effect(node, effect)
  }

  /** A message goes on its way. */
  left(node: number, to: number, message: RaftRequest | RaftResponse, asked: RaftRequest | null): void {
    const event = this.#add(node, 'send', describeMessage(message, asked), null, to)
    const key = messageKey(node, to, message)
    const flying = this.#flying.get(key)
    if (flying === undefined) this.#flying.set(key, [event])
    else if (flying.push(event) > this.#keep) flying.shift()
  }

  #arrived(node: number, event: RaftEvent): void {
    const message =
      'request' in event ? (event.request as object) : 'response' in event ? (event.response as object) : null
    const from = senderOf(event)
    if (message === null || from < 0) return
    const type = event.type.replace(/Request|Response/, '')
    // Of messages that are alike the last one has arrived: an earlier one was lost before it was sent again.
    const sent = this.#flying.get(messageKey(from, node, { ...message, type } as RaftRequest))?.pop()
    if (sent === undefined) return
    sent.arrivedMs = this.#now()
    sent.arrivedOrder = this.#order++
  }

  #effect(node: number, effect: Effect): void {
    switch (effect.type) {
      case 'stateChanged': {
        const led = effect.leaderId >= 0 && effect.state !== 'leader' ? ` of ${effect.leaderId}` : ''
        this.#add(node, 'state', `${effect.state}${led} epoch=${effect.leaderEpoch}`, effect.state, -1)
        break
      }
      case 'highWatermark':
        this.#add(node, 'commit', `highWatermark ${effect.offset}`, null, -1)
        break
      case 'append': {
        const { baseOffset, lastOffset, leaderEpoch } = effect.batch
        this.#add(node, 'log', `appends ${baseOffset}-${lastOffset} of epoch ${leaderEpoch}`, null, -1)
        break
      }
      case 'truncate':
        this.#add(node, 'log', `truncates to ${effect.to.endOffset} of epoch ${effect.to.epoch}`, null, -1)
        break
      case 'installSnapshot':
        this.#add(node, 'log', `installs the snapshot of ${effect.snapshotId.endOffset}`, null, -1)
        break
      case 'votersChanged':
        this.#add(node, 'note', `voters ${effect.entry.voters.voters.map(({ id }) => id)}`, null, -1)
        break
      case 'alarm':
        this.#add(node, 'alarm', `${effect.code}: ${effect.detail}`, null, -1)
        break
    }
  }

  #add(
    node: number,
    kind: TraceEvent['kind'],
    text: string,
    state: RaftState | null,
    to: number,
  ): TraceEvent {
    const atMs = this.#now()
    const event: TraceEvent = {
      order: this.#order++,
      atMs,
      node,
      kind,
      text,
      state,
      to,
      arrivedMs: -1,
      arrivedOrder: -1,
    }
    const events = this.#events.get(node)
    if (events === undefined) this.#events.set(node, [event])
    else {
      events.push(event)
      if (events.length >= 2 * this.#keep) events.splice(0, events.length - this.#keep)
    }
    return event
  }
}
