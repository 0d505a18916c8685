import { EngineError } from '../../model/errors.ts'
import { quorumApis } from '../../protocol/quorumApis.ts'
import type { Infer, InferInput, Message } from '../../protocol/schema.ts'
import type { Endpoint, RaftRequest, RaftResponse } from '../../raft.ts'
import type { RateLimitedLog } from '../../runtime/rateLimitedLog.ts'
import type { TransportHandler } from '../transport.ts'
import { type Answered, type Asked, errorNumber, type ResponseOf } from '../wire/common.ts'
import {
  leaderResponseBody,
  readBeginRequest,
  readEndRequest,
  readVoteRequest,
  voteResponseBody,
} from '../wire/quorumMessages.ts'
import { readSnapshotRequest, snapshotResponseBody } from '../wire/snapshotMessages.ts'
import {
  readAddRequest,
  readRemoveRequest,
  readUpdateRequest,
  updateResponseBody,
  voterResponseBody,
} from '../wire/voterMessages.ts'
import type { LeaderSession } from './leaderSession.ts'
import type { PeerLimits, PeerRuntime } from './peerOptions.ts'

/** What requests are carried out with. */
export interface RequestContext {
  readonly runtime: PeerRuntime
  readonly limits: PeerLimits
  readonly handler: TransportHandler
  readonly log: RateLimitedLog
  /** A leader has said where it listens. */
  learn(node: number, endpoints: readonly Endpoint[]): void
}

/** Who asks: a node that has introduced itself, or -1. */
export interface Requester {
  readonly node: number
  sessionOf(): LeaderSession
}

type Answer = (body: InferInput<Message>) => void

/** How one API is answered. */
interface Route {
  /** Whether also those may ask who have not said who they are. */
  readonly isForAll: boolean
  /** Hands a request on; `answer` is called once, now or later. What is wrong with it, or null. */
  handle(context: RequestContext, from: Requester, body: Infer<Message>, answer: Answer): string | null
}

function route<A extends { readonly request: Message; readonly response: Message }>(
  _api: A,
  handle: (
    context: RequestContext,
    from: Requester,
    body: Infer<A['request']>,
    answer: (body: InferInput<A['response']>) => void,
  ) => string | null,
  isForAll = false,
): Route {
  return { isForAll, handle: handle as unknown as Route['handle'] }
}

/** By API key, how each request between nodes is answered. A node speaks for itself only. */
export const routes: ReadonlyMap<number, Route> = new Map([
  [
    quorumApis.vote.key,
    route(quorumApis.vote, (context, from, body, answer) => {
      const asked = readVoteRequest(body)
      const fault = impostor(
        from,
        asked.map(({ request }) => request.candidate.id),
      )
      if (fault === null) gather(context, from, asked, (answers) => answer(voteResponseBody(answers)))
      return fault
    }),
  ],
  [
    quorumApis.beginQuorumEpoch.key,
    route(quorumApis.beginQuorumEpoch, (context, from, body, answer) => {
      const asked = readBeginRequest(body)
      const fault = impostor(
        from,
        asked.map(({ request }) => request.leaderId),
      )
      if (fault !== null) return fault
      if (body.leaderEndpoints.length > 0) context.learn(from.node, body.leaderEndpoints)
      gather(context, from, asked, (answers) => answer(leaderResponseBody(answers)))
      return null
    }),
  ],
  [
    quorumApis.endQuorumEpoch.key,
    route(quorumApis.endQuorumEpoch, (context, from, body, answer) => {
      const asked = readEndRequest(body)
      const fault = impostor(
        from,
        asked.map(({ request }) => request.leaderId),
      )
      if (fault === null) gather(context, from, asked, (answers) => answer(leaderResponseBody(answers)))
      return fault
    }),
  ],
  [
    quorumApis.fetch.key,
    route(quorumApis.fetch, (_context, from, body, answer) => {
      const fault = impostor(from, [body.replicaState.replicaId])
      if (fault === null) from.sessionOf().take(body, answer)
      return fault
    }),
  ],
  [
    quorumApis.envelope.key,
    route(quorumApis.envelope, (context, from, body, answer) => {
      callIn(context, from, body.requestData, answer)
      return null
    }),
  ],
  [
    quorumApis.fetchSnapshot.key,
    route(quorumApis.fetchSnapshot, (context, from, body, answer) => {
      const fault = impostor(from, [body.replicaId])
      if (fault !== null) return fault
      gather(context, from, readSnapshotRequest(body), (answers) => answer(snapshotResponseBody(answers)))
      return null
    }),
  ],
  [
    quorumApis.addRaftVoter.key,
    route(
      quorumApis.addRaftVoter,
      (context, from, body, answer) =>
        ask(context, from, readAddRequest(body), (response) => answer(voterResponseBody(response))),
      true,
    ),
  ],
  [
    quorumApis.removeRaftVoter.key,
    route(
      quorumApis.removeRaftVoter,
      (context, from, body, answer) =>
        ask(context, from, readRemoveRequest(body), (response) => answer(voterResponseBody(response))),
      true,
    ),
  ],
  [
    quorumApis.updateRaftVoter.key,
    route(quorumApis.updateRaftVoter, (context, from, body, answer) =>
      ask(context, from, readUpdateRequest(body), (response) => answer(updateResponseBody(response))),
    ),
  ],
])

/** Carries out a call; what goes wrong in it is the business of its payload, unless nobody takes calls. */
function callIn(
  { handler, log }: RequestContext,
  { node }: Requester,
  payload: Uint8Array,
  answer: (body: InferInput<typeof quorumApis.envelope.response>) => void,
): void {
  if (handler.call === undefined) {
    answer({ errorCode: errorNumber('unsupportedVersion') })
    return
  }
  handler.call(node, payload).then(
    (responseData) => answer({ responseData }),
    (error) => {
      const code = error instanceof EngineError ? error.code : 'unknownServerError'
      log.warn(`peer:call:${code}`, 'a call of another node failed', { node, error: String(error) })
      answer({ errorCode: errorNumber(code) })
    },
  )
}

/** What is wrong when a node speaks for others. */
function impostor({ node }: Requester, speaksFor: readonly number[]): string | null {
  const other = speaksFor.find((id) => id !== node)
  return other === undefined ? null : `node ${node} speaks for node ${other}`
}

function ask<T extends RaftRequest['type']>(
  { handler }: RequestContext,
  { node }: Requester,
  { group, request }: Asked<T>,
  answered: (response: ResponseOf<T>) => void,
): null {
  handler.request(node, group, request, (response) => {
    if (response.type === request.type) answered(response as ResponseOf<T>)
  })
  return null
}

/**
 * Asks every group, and answers when all have; those that take too long are left out, so that one group with a slow disk does not keep
 * the others waiting.
 */
function gather<T extends RaftRequest['type']>(
  context: RequestContext,
  from: Requester,
  asked: readonly Asked<T>[],
  done: (answers: readonly Answered<T>[]) => void,
): void {
  const answers: Answered<T>[] = []
  let missing = asked.length
  let isDone = false
  const { clock } = context.runtime
  const timer = clock.setTimer(0.75 * context.limits.requestTimeoutMs, () => finish())
  const finish = (): void => {
    if (isDone) return
    isDone = true
    timer.cancel()
    done(answers)
  }
  for (const { group, request } of asked) {
    let isOpen = true
    context.handler.request(from.node, group, request, (response: RaftResponse, _records) => {
      if (isDone || !isOpen || response.type !== request.type) return
      isOpen = false
      answers.push({ group, response } as Answered<T>)
      missing--
      if (missing === 0) finish()
    })
  }
  if (missing === 0) finish()
}
