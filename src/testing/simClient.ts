import { EngineError } from '../model/errors.ts'
import type { Group } from '../replica/group.ts'
import { readBytes } from '../replica/groupReader.ts'
import type { GroupAck } from '../replica/groupTypes.ts'
import { nodeChecksum } from '../runtime/node/nodeChecksum.ts'
import { encodeBatch } from '../segment/records.ts'
import { factsOfBytes } from './checkFacts.ts'
import type { Checks } from './checks.ts'
import { type ClusterNode, topicName } from './clusterProgram.ts'
import { EventKind } from './eventKinds.ts'
import type { Operation } from './operations.ts'
import { type ProducerWorld, SimProducer } from './simProducer.ts'
import type { World } from './world.ts'

/** How long a client looks for somebody who takes what it wants, in milliseconds. */
const patienceMs = 3000
/** How long it waits before it asks again; twice as long each time. */
const retryMs = 20

/** What became of the operations. */
export interface ClientCounts {
  acked: number
  refused: number
  /** May or may not have happened. */
  unknown: number
  read: number
}

/** Clients of a cluster: they ask the node that they believe to lead, follow its hint, and remember every answer. */
export class SimClients {
  readonly counts: ClientCounts = { acked: 0, refused: 0, unknown: 0, read: 0 }
  readonly #world: World<ClusterNode>
  readonly #checks: Checks
  /** Idempotent producers, by client and group. */
  readonly #producers = new Map<number, SimProducer>()

  constructor(world: World<ClusterNode>, checks: Checks) {
    this.#world = world
    this.#checks = checks
  }

  /** Has `operations` begin in their time. */
  plan(operations: readonly Operation[], skipped: ReadonlySet<number> = new Set(), fromMs = 0): void {
    for (const operation of operations) {
      if (skipped.has(operation.number)) continue
      this.#world.after(operation.atMs - fromMs, () => this.begin(operation))
    }
  }

  /** Begins an operation now; resolves when it is done, or never: when the process that has it dies. */
  begin(operation: Operation): void {
    switch (operation.kind) {
      case 'append':
        this.#append(operation)
        break
      case 'readEnd':
        this.#readEnd(operation)
        break
      case 'read':
        this.#read(operation)
        break
    }
  }

  #append(operation: Operation): void {
    if (operation.isIdempotent) {
      this.#producer(operation).append({
        node: operation.node,
        records: operation.records,
        encode: (producerEpoch, baseSequence) =>
          batchesOf({ ...operation, batches: 1 }, this.#world.nowMs, {
            producerId: operation.client,
            producerEpoch,
            baseSequence,
          }),
      })
      return
    }
    const { group, number } = operation
    const bytes = batchesOf(operation, this.#world.nowMs)
    const history = this.#checks.history(nameOf(group))
    const call = history.append(factsOfBytes(bytes, null, null).map(({ hash }) => hash))
    this.#ask(operation, operation.node, this.#world.nowMs + patienceMs, {
      ask: async (replica) => {
        const ack = await replica.append(bytes, { acks: 'all' })
        this.counts.acked++
        this.#world.note(ack.baseOffset * 65_536 + number)
        history.acked(call, ack.baseOffset, ack.lastOffset)
      },
      refused: () => {
        this.counts.refused++
        history.refused(call)
      },
    })
  }

  /** The producer of a client for a group. */
  #producer({ client, group }: Operation): SimProducer {
    const key = client * 4096 + group
    let producer = this.#producers.get(key)
    if (producer === undefined) {
      const world = this.#world
      const run: ProducerWorld = {
        nodes: world.nodes.size,
        get nowMs() {
          return world.nowMs
        },
        after: (delayMs, run) => world.after(delayMs, run),
        history: () => this.#checks.history(nameOf(group)),
        hashes: (bytes) => factsOfBytes(bytes, null, null).map(({ hash }) => hash),
        send: (node, bytes, done) =>
          this.#on(node, group, async (replica) => {
            let ack: GroupAck
            try {
              ack = await replica.append(bytes, { acks: 'all' })
            } catch (error) {
              if (!(error instanceof EngineError)) throw error
              done(null, error)
              return
            }
            world.note(ack.baseOffset * 65_536 + client)
            done(ack, null)
          }),
        ended: (ack) => {
          if (ack === null) this.counts.unknown++
          else this.counts.acked++
        },
      }
      producer = new SimProducer(client, run, patienceMs)
      this.#producers.set(key, producer)
    }
    return producer
  }

  #readEnd(operation: Operation): void {
    const history = this.#checks.history(nameOf(operation.group))
    const call = history.readEnd(operation.client)
    this.#ask(operation, operation.node, this.#world.nowMs + patienceMs, {
      ask: async (replica) => {
        const end = await replica.readIndex()
        this.counts.read++
        history.endRead(call, end)
      },
      refused: () => {},
    })
  }

  #read(operation: Operation): void {
    const history = this.#checks.history(nameOf(operation.group))
    this.#on(operation.node, operation.group, async (replica) => {
      const { logStartOffset } = replica.log
      const from = logStartOffset + Math.floor((replica.highWatermark - logStartOffset) * operation.place)
      const bytes = await readBytes(replica, from, 1 + operation.valueBytes * 20)
      if (bytes === null) return
      this.counts.read++
      history.read(from, factsOfBytes(bytes, null, null))
    })
  }

  /** Asks `node`, then whoever it names, then others, until somebody takes it or time is over. */
  #ask(
    operation: Operation,
    node: number,
    untilMs: number,
    what: { ask(group: Group): Promise<void>; refused(): void },
    waitMs = retryMs,
  ): void {
    const world = this.#world
    const again = (next: number): void => {
      if (world.nowMs >= untilMs) what.refused()
      else world.after(waitMs, () => this.#ask(operation, next, untilMs, what, waitMs * 2))
    }
    const next = (node % world.nodes.size) + 1
    const isAsked = this.#on(node, operation.group, async (replica) => {
      try {
        await what.ask(replica)
      } catch (error) {
        if (!(error instanceof EngineError)) throw error
        if (error.code !== 'notLeaderOrFollower') {
          this.counts.unknown++
          return
        }
        const leaderId = 'leaderId' in error ? (error.leaderId as number) : -1
        again(leaderId > 0 && leaderId <= world.nodes.size && leaderId !== node ? leaderId : next)
      }
    })
    if (!isAsked) again(next)
  }

  /** Has `run` done with a group of a node as an event of that node; false when it does not run. */
  #on(node: number, group: number, run: (replica: Group) => Promise<void>): boolean {
    const target = this.#world.node(node)
    const replica = target.running?.groups[group]
    if (replica === undefined || !this.#world.isSeenByClients(node)) return false
    const { session } = target
    this.#world.queue.add(0, EventKind.client, node, () => {
      if (target.session !== session || target.running === null) return
      run(replica).catch((error: unknown) => {
        // What reads are refused with, a closed log for one, is no promise broken.
        if (!(error instanceof EngineError)) throw error
      })
    })
    return true
  }
}

/** The name of a group in checks. */
export function nameOf(group: number): string {
  return `${topicName}-${group}`
}

/** The batches of an append: no two of a run are alike. */
function batchesOf(
  { number, batches, records, valueBytes }: Operation,
  nowMs: number,
  producer: {
    readonly producerId: number
    readonly producerEpoch: number
    readonly baseSequence: number
  } | null = null,
): Uint8Array {
  const parts = Array.from({ length: batches }, (_, batch) =>
    encodeBatch(
      {
        records: Array.from({ length: records }, (_unused, index) => ({
          key: null,
          value: Buffer.from(`${number}.${batch}.${index} `.padEnd(valueBytes, 'x')),
          timestampMs: 1_700_000_000_000 + Math.floor(nowMs),
        })),
        ...producer,
      },
      nodeChecksum,
    ),
  )
  return Buffer.concat(parts)
}
