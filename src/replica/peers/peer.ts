import { EngineError } from '../../model/errors.ts'
import type { Logger } from '../../model/logger.ts'
import { quorumApis } from '../../protocol/quorumApis.ts'
import type { Endpoint, RaftRequest, RaftResponse } from '../../raft.ts'
import type { Address } from '../../runtime/network.ts'
import { type GroupKey, type GroupRef, groupKey, type TransportHandler } from '../transport.ts'
import type { RequestOf } from '../wire/common.ts'
import {
  beginRequestBody,
  endRequestBody,
  readLeaderResponse,
  readVoteResponse,
  voteRequestBody,
} from '../wire/quorumMessages.ts'
import { readSnapshotResponse, snapshotRequestBody } from '../wire/snapshotMessages.ts'
import {
  addRequestBody,
  readUpdateResponse,
  readVoterResponse,
  removeRequestBody,
  updateRequestBody,
} from '../wire/voterMessages.ts'
import { Calls } from './calls.ts'
import { Channel, type ChannelOwner } from './channel.ts'
import { FetchSession } from './fetchSession.ts'
import type { ChannelName, PeerLimits, PeerRuntime } from './peerOptions.ts'

/** A request of the core that is to be sent, or has no answer yet. */
interface Pending<R extends RaftRequest = RaftRequest> {
  readonly group: GroupRef
  readonly requestId: number
  readonly request: R
}

/** What all peers of a node share. */
export interface PeerContext {
  readonly runtime: PeerRuntime
  readonly limits: PeerLimits
  readonly logger: Logger
  readonly clusterId: string | null
  readonly self: number
  readonly listenerName: string | null
  /** Where this node is reached. */
  endpoints(): readonly Endpoint[]
  readonly handler: TransportHandler
}

type Unfetched = Exclude<RaftRequest, { readonly type: 'fetch' }>

/** The channels that carry requests of the core. */
const coreChannels = ['control', 'fetch', 'voters'] as const
type CoreChannel = (typeof coreChannels)[number]

const channelOf: Readonly<Record<RaftRequest['type'], CoreChannel>> = {
  vote: 'control',
  beginQuorumEpoch: 'control',
  endQuorumEpoch: 'control',
  fetch: 'fetch',
  fetchSnapshot: 'fetch',
  addVoter: 'voters',
  removeVoter: 'voters',
  updateVoter: 'voters',
}

/**
 * Another node, as far as this one sends to it: three connections, made when they are needed. `control` has what must not
 * wait: votes and the beginnings and ends of epochs. `fetch` has the session and parts of snapshots, whose answers are large
 * or wait on purpose. `voters` has changes of voters, which may take seconds. Answers of one connection come in order, so each
 * of these would stand behind the others on one.
 */
export class Peer {
  readonly #context: PeerContext
  readonly #node: number
  readonly #session: FetchSession
  readonly #calls: Calls
  readonly #channels: Readonly<Record<CoreChannel, Channel>>
  /** By channel, what is to be sent in the order in which it came. */
  readonly #queues: Readonly<Record<CoreChannel, Pending<Unfetched>[]>> = {
    control: [],
    fetch: [],
    voters: [],
  }
  /** By channel, what was sent and has no answer. */
  readonly #sent: Readonly<Record<CoreChannel, Set<readonly Pending[]>>> = {
    control: new Set(),
    fetch: new Set(),
    voters: new Set(),
  }
  #endpoints: readonly Endpoint[] = []
  #failing: (readonly [GroupRef, number])[] = []
  #isFlushing = false
  #wasReached = false
  #isComplaining = false
  #isClosed = false

  constructor(context: PeerContext, node: number) {
    this.#context = context
    this.#node = node
    const { runtime, limits, clusterId, self, handler } = context
    const channel = (name: ChannelName): Channel =>
      new Channel(runtime, limits, { clusterId, self, remote: node, name }, this.#ownerOf(name))
    this.#channels = { control: channel('control'), fetch: channel('fetch'), voters: channel('voters') }
    this.#calls = new Calls(runtime, limits, channel('calls'))
    const identity = { clusterId, replicaId: self }
    this.#session = new FetchSession(runtime, limits, identity, node, this.#channels.fetch, handler)
  }

  /** See `Transport.know`. */
  know(endpoints: readonly Endpoint[]): void {
    this.#endpoints = endpoints
  }

  /** The node has connected to this one: it can be reached as well, most likely. */
  retryNow(): void {
    if (this.#isClosed) return
    for (const name of coreChannels) this.#channels[name].retryNow()
    this.#calls.retryNow()
  }

  /** When the node answered last in the session of Fetches. */
  get lastAnswerMs(): number {
    return this.#session.lastAnswerMs
  }

  /** See `Transport.leaderContactMs`. */
  contactMs(group: GroupRef): number {
    return this.#session.contactMs(group)
  }

  /** Takes a request; it leaves with all others of this turn. */
  send(group: GroupRef, requestId: number, request: RaftRequest): void {
    if (this.#isClosed || this.#address() === null) this.#failing.push([group, requestId])
    else if (request.type === 'fetch') {
      const replaced = this.#session.add(group, requestId, request)
      if (replaced !== null) this.#failing.push([group, replaced])
    } else this.#queues[channelOf[request.type]].push({ group, requestId, request })
    this.#flushSoon()
  }

  /** See `Transport.forget`. */
  forget(group: GroupRef): void {
    for (const requestId of this.#session.forget(group)) this.#failing.push([group, requestId])
    this.#flushSoon()
  }

  /** See `Transport.call`. */
  call(payload: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    if (this.#isClosed || this.#address() === null) {
      const why = this.#isClosed ? 'the transport was closed' : `nobody knows where node ${this.#node} is`
      return Promise.reject(new EngineError('brokerNotAvailable', why))
    }
    return this.#calls.add(payload, timeoutMs)
  }

  /** Sends what is queued, fails what has no answer, and closes. */
  close(): void {
    this.#flush()
    this.#isClosed = true
    this.#calls.close()
    for (const name of coreChannels) this.#channels[name].close()
    this.#fail(coreChannels.flatMap((name) => this.#lost(name)))
  }

  #flushSoon(): void {
    if (this.#isFlushing) return
    this.#isFlushing = true
    queueMicrotask(() => this.#flush())
  }

  #flush(): void {
    this.#isFlushing = false
    this.#fail(this.#failing.splice(0))
    if (this.#isClosed) return
    const { control, fetch, voters } = this.#channels
    if (this.#queues.control.length > 0) this.#flushInto(control, () => this.#sendControl())
    if (this.#queues.voters.length > 0) this.#flushInto(voters, () => this.#sendVoters())
    if (this.#queues.fetch.length > 0 || this.#session.isWanted) {
      this.#flushInto(fetch, () => {
        this.#sendSnapshots()
        this.#session.flush()
      })
    }
  }

  #flushInto(channel: Channel, send: () => void): void {
    if (!channel.isOpen) channel.open()
    else if (!channel.isFull) send()
  }

  /** Votes, then beginnings and ends, each in as few messages as may be: a group appears once in each. */
  #sendControl(): void {
    const queue = this.#queues.control.splice(0)
    const { limits, endpoints } = this.#context
    for (const votes of intoMessages(queue, 'vote', limits.maxGroups)) {
      this.#request('control', votes, (done) =>
        this.#channels.control.request(
          quorumApis.vote,
          voteRequestBody(votes),
          limits.requestTimeoutMs,
          (body) => done(readVoteResponse(body)),
        ),
      )
    }
    for (const begins of intoMessages(queue, 'beginQuorumEpoch', limits.maxGroups)) {
      this.#request('control', begins, (done) =>
        this.#channels.control.request(
          quorumApis.beginQuorumEpoch,
          beginRequestBody(begins, endpoints()),
          limits.requestTimeoutMs,
          (body) => done(readLeaderResponse('beginQuorumEpoch', body)),
        ),
      )
    }
    for (const ends of intoMessages(queue, 'endQuorumEpoch', limits.maxGroups)) {
      this.#request('control', ends, (done) =>
        this.#channels.control.request(
          quorumApis.endQuorumEpoch,
          endRequestBody(ends, endpoints()),
          limits.requestTimeoutMs,
          (body) => done(readLeaderResponse('endQuorumEpoch', body)),
        ),
      )
    }
  }

  /** Parts of snapshots are large: each in a message of its own. */
  #sendSnapshots(): void {
    const { requestTimeoutMs } = this.#context.limits
    for (const pending of intoMessages(this.#queues.fetch.splice(0), 'fetchSnapshot', 1)) {
      this.#request('fetch', pending, (done) =>
        this.#channels.fetch.request(
          quorumApis.fetchSnapshot,
          snapshotRequestBody(pending),
          10 * requestTimeoutMs,
          (body) => done(readSnapshotResponse(body)),
        ),
      )
    }
  }

  #sendVoters(): void {
    const { limits } = this.#context
    const channel = this.#channels.voters
    for (const pending of this.#queues.voters.splice(0)) {
      const { group, request } = pending
      const patienceMs = 10 * limits.requestTimeoutMs
      this.#request('voters', [pending], (done) => {
        if (request.type === 'addVoter') {
          const timeoutMs = patienceMs + Math.max(0, request.timeoutMs)
          channel.request(quorumApis.addRaftVoter, addRequestBody({ group, request }), timeoutMs, (body) =>
            done([{ group, response: readVoterResponse('addVoter', body) }]),
          )
        } else if (request.type === 'removeVoter') {
          channel.request(
            quorumApis.removeRaftVoter,
            removeRequestBody({ group, request }),
            patienceMs,
            (body) => done([{ group, response: readVoterResponse('removeVoter', body) }]),
          )
        } else if (request.type === 'updateVoter') {
          channel.request(
            quorumApis.updateRaftVoter,
            updateRequestBody({ group, request }),
            patienceMs,
            (body) => done([{ group, response: readUpdateResponse(body) }]),
          )
        }
      })
    }
  }

  /** Remembers who waits for the answers of one message, and hands them out; a group that it leaves out has failed. */
  #request(
    name: CoreChannel,
    pending: readonly Pending[],
    send: (
      done: (answers: readonly { readonly group: GroupRef; readonly response: RaftResponse }[]) => void,
    ) => void,
  ): void {
    this.#sent[name].add(pending)
    send((answers) => {
      this.#sent[name].delete(pending)
      const asked = new Map(pending.map((each) => [groupKey(each.group), each]))
      for (const { group, response } of answers) {
        const key = groupKey(group)
        const each = asked.get(key)
        if (each === undefined) continue
        asked.delete(key)
        this.#context.handler.response(this.#node, each.group, each.requestId, response)
      }
      this.#fail([...asked.values()].map(({ group, requestId }) => [group, requestId] as const))
    })
  }

  #ownerOf(name: ChannelName): ChannelOwner {
    return {
      address: () => this.#address(),
      opened: () => {
        this.#wasReached = true
        if (this.#isComplaining) this.#context.logger.info(`node ${this.#node} is reached again`)
        this.#isComplaining = false
        if (name === 'calls') this.#calls.flush()
        else this.#flush()
      },
      unreachable: (reason) => {
        this.#complain(reason)
        if (name === 'calls') this.#calls.lose(reason)
        else {
          this.#fail(this.#lost(name))
          // Whoever fetches there, and was not told when the connection went, has to look elsewhere.
          if (name === 'fetch') this.#context.handler.connectionLost(this.#node)
        }
      },
      broke: (reason, silent) => {
        // Whoever does not answer calls may be well otherwise.
        if (name === 'calls' && silent) this.#calls.lose(reason)
        else this.#broke(reason, silent)
      },
    }
  }

  /** One connection that breaks takes the others with it: it is the node that is gone, or the way to it. */
  #broke(reason: string, silent: boolean): void {
    const { handler } = this.#context
    const isNews = this.#wasReached && !silent
    this.#wasReached = false
    this.#complain(reason)
    for (const name of coreChannels) this.#channels[name].giveUp(reason)
    if (isNews) this.#calls.lose(reason)
    this.#fail(coreChannels.flatMap((name) => this.#lost(name)))
    if (isNews) handler.connectionLost(this.#node)
  }

  /** What was to be sent, or was sent, through one channel, and is not any more. */
  #lost(name: CoreChannel): readonly (readonly [GroupRef, number])[] {
    const lost: (readonly [GroupRef, number])[] = []
    for (const pending of this.#sent[name]) {
      for (const { group, requestId } of pending) lost.push([group, requestId])
    }
    this.#sent[name].clear()
    for (const { group, requestId } of this.#queues[name].splice(0)) lost.push([group, requestId])
    if (name === 'fetch') lost.push(...this.#session.reset())
    return lost
  }

  #fail(lost: readonly (readonly [GroupRef, number])[]): void {
    for (const [group, requestId] of lost) this.#context.handler.failed(group, requestId)
  }

  /** One line when a node is lost, none until it is back. */
  #complain(reason: string): void {
    if (this.#isComplaining || this.#isClosed) return
    this.#isComplaining = true
    this.#context.logger.warn(`node ${this.#node} is not reached: ${reason}`, { node: this.#node })
  }

  #address(): Address | null {
    const { listenerName } = this.#context
    const named = this.#endpoints.find(({ name }) => name === listenerName)
    const endpoint = named ?? this.#endpoints[0]
    return endpoint === undefined ? null : { host: endpoint.host, port: endpoint.port }
  }
}

/** The requests of one type in as few messages as may be; within one a group appears once. */
function intoMessages<T extends Unfetched['type']>(
  queue: readonly Pending<Unfetched>[],
  type: T,
  most: number,
): readonly (readonly Pending<RequestOf<T>>[])[] {
  const messages: { readonly keys: Set<GroupKey>; readonly pending: Pending<RequestOf<T>>[] }[] = []
  for (const each of queue) {
    if (each.request.type !== type) continue
    const key = groupKey(each.group)
    let last = messages.at(-1)
    if (last === undefined || last.keys.has(key) || last.pending.length >= most) {
      last = { keys: new Set(), pending: [] }
      messages.push(last)
    }
    last.keys.add(key)
    last.pending.push(each as Pending<RequestOf<T>>)
  }
  return messages.map(({ pending }) => pending)
}
