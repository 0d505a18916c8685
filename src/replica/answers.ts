import type { SendPart } from '../model/fileRange.ts'
import type { Effect, RaftNode, RaftResponse, Read } from '../raft.ts'
import type { GroupLog } from './groupLog.ts'
import type { GroupSnapshots } from './groupSnapshots.ts'
import type { GroupWorld } from './groupWorld.ts'
import type { Outbox } from './outbox.ts'
import { RemoteRequest } from './replies.ts'
import type { LocalRequest } from './tokens.ts'
import type { GroupRef } from './transport.ts'

/** What `Answers` asks of the replica. */
export interface AnsweringReplica {
  readonly node: RaftNode
  readonly log: GroupLog
  readonly failure: Error | null
}

/** The answers of one replica: adds what its log or a snapshot has to them, and sends them when they may leave. */
export class Answers {
  readonly #world: GroupWorld
  readonly #ref: GroupRef
  readonly #driver: AnsweringReplica
  readonly #received: GroupSnapshots
  readonly #outbox: Outbox

  constructor(
    world: GroupWorld,
    ref: GroupRef,
    driver: AnsweringReplica,
    received: GroupSnapshots,
    outbox: Outbox,
  ) {
    this.#world = world
    this.#ref = ref
    this.#driver = driver
    this.#received = received
    this.#outbox = outbox
  }

  /** Answers once everything is durable that the answer rests on. */
  give(effect: Extract<Effect, { type: 'respond' }>): void {
    const { response, read } = effect
    const replyTo = effect.replyTo as RemoteRequest | LocalRequest
    if (!(replyTo instanceof RemoteRequest)) {
      this.#outbox.leave(() => replyTo.answer(response))
      return
    }
    const { ticket } = this.#outbox
    const leave = (answer: RaftResponse, parts: readonly SendPart[]): void => {
      this.#outbox.leave(
        () => {
          this.#world.observer?.left(this.#ref, replyTo.from, answer, replyTo.request)
          replyTo.reply(answer, parts)
        },
        false,
        ticket,
      )
    }
    if (read.type === 'nothing') leave(response, [])
    else this.#fill(replyTo.from, response, read, leave)
  }

  /** Adds what the log or a snapshot has to an answer. What cannot be read makes it an error. */
  #fill(
    to: number,
    response: RaftResponse,
    read: Read,
    leave: (answer: RaftResponse, parts: readonly SendPart[]) => void,
  ): void {
    const refuse = (error: unknown): void => {
      const { topic, partition } = this.#ref
      this.#world.logger.error('a replica cannot read what another one asks for', {
        topic,
        partition,
        error: String(error),
      })
      leave({ ...response, error: 'kafkaStorageError' }, [])
    }
    if (read.type === 'snapshot' && response.type === 'fetchSnapshot') {
      this.#received
        .part(response, read, this.#world.maxFetchBytes)
        .then((answer) => leave(answer, []), refuse)
    } else if (read.type === 'records') {
      const { catchUp, maxFetchBytes } = this.#world
      const { leaderEpoch, logEnd, voters } = this.#driver.node
      const isVoter = voters.voters.get(to) !== null
      const send = (parts: readonly SendPart[]): void => {
        if (!isVoter) catchUp.sent(this.#ref, maxFetchBytes, parts)
        leave(response, parts)
      }
      const readOn = (): void => {
        if (this.#driver.failure !== null) return
        const { node, log } = this.#driver
        // What it asked for may have been deleted while it was held back: it is told so when it asks again.
        const isThere = read.fromOffset >= log.log.logStartOffset
        if (node.state !== 'leader' || node.leaderEpoch !== leaderEpoch || !isThere) {
          send([])
          return
        }
        // What was appended since goes along, unless a voter set came before it that the answer does not tell of.
        const isSame = node.logEnd.votersVersion === logEnd.votersVersion
        const toOffset = isSame ? node.logEnd.endOffset : read.toOffset
        try {
          const found = log.read(read.fromOffset, toOffset, maxFetchBytes)
          if (found instanceof Promise) found.then((parts) => send(parts ?? []), refuse)
          else send(found)
        } catch (error) {
          refuse(error)
        }
      }
      if (isVoter) this.#world.turn.atEnd(readOn)
      else catchUp.beforeSending(this.#ref, maxFetchBytes, () => this.#world.turn.atEnd(readOn))
    }
  }
}
