import { partBytes, type SendPart } from '../../../src/model/fileRange.ts'
import type { RaftRequest, RaftResponse } from '../../../src/raft.ts'
import {
  type GroupKey,
  type GroupRef,
  groupKey,
  type Transport,
  type TransportHandler,
} from '../../../src/replica/transport.ts'
import { readBatches } from '../../../src/replica/wire/batches.ts'
import type { DiskFile } from '../../../src/runtime/disk.ts'
import type { Runtime } from '../../../src/runtime/runtime.ts'

interface Sent {
  readonly from: number
  readonly to: number
  readonly group: GroupRef
  readonly requestId: number
  readonly request: RaftRequest
  isOver: boolean
}

/** A message as tests see it. */
export interface Message {
  readonly from: number
  readonly to: number
  readonly group: GroupKey
  readonly message: RaftRequest | RaftResponse
}

/** Nodes of one process that talk to each other without sockets; each delivery is a turn of its own. */
export class LocalTransports {
  readonly #runtime: Pick<Runtime, 'clock' | 'checksum'>
  readonly #handlers = new Map<number, TransportHandler>()
  #sent: Sent[] = []
  readonly #cut = new Set<string>()
  /** Sees every message when it is handed over. */
  onMessage: ((message: Message) => void) | null = null
  /** Called with each delivery, to be carried out later; at once in a turn of its own by default. */
  schedule: (deliver: () => void) => void = (deliver) => setImmediate(deliver)

  constructor(runtime: Pick<Runtime, 'clock' | 'checksum'>) {
    this.#runtime = runtime
  }

  /** What `HostOptions.transport` wants, for node `id`. */
  of(id: number): (handler: TransportHandler) => Transport {
    return (handler) => {
      this.#handlers.set(id, handler)
      return {
        send: (to, group, requestId, request) => this.#send(id, to, group, requestId, request),
        forget: (group) => this.#drop((sent) => sent.from === id && isFetchOf(sent, group)),
        know() {},
        call: (to, payload) => this.#handlers.get(to)!.call!(id, payload),
        leaderContactMs: (node, group) =>
          this.#contact((sent) => sent.from === id && sent.to === node && isFetchOf(sent, group)),
        followerContactMs: (node, group) =>
          this.#contact((sent) => sent.from === node && sent.to === id && isFetchOf(sent, group)),
        close: async () => this.stop(id),
      }
    }
  }

  /** The process of a node is gone; the others notice. */
  stop(id: number): void {
    if (!this.#handlers.delete(id)) return
    this.#drop((sent) => sent.from === id || sent.to === id)
    for (const handler of this.#handlers.values()) this.schedule(() => handler.connectionLost(id))
  }

  /** Nothing goes between two nodes any more, or again. */
  setCut(a: number, b: number, isCut: boolean): void {
    for (const link of [`${a}-${b}`, `${b}-${a}`]) {
      if (isCut) this.#cut.add(link)
      else this.#cut.delete(link)
    }
    if (isCut) this.#drop((sent) => this.#cut.has(`${sent.from}-${sent.to}`))
  }

  #send(from: number, to: number, group: GroupRef, requestId: number, request: RaftRequest): void {
    const sent = { from, to, group, requestId, request, isOver: false }
    this.#sent.push(sent)
    this.onMessage?.({ from, to, group: groupKey(group), message: request })
    this.schedule(() => {
      if (sent.isOver) return
      const handler = this.#handlers.get(to)
      if (handler === undefined || this.#cut.has(`${from}-${to}`)) this.#drop((each) => each === sent)
      else handler.request(from, group, request, (response, records) => this.#reply(sent, response, records))
    })
  }

  #reply(sent: Sent, response: RaftResponse, records: readonly SendPart[]): void {
    const { from, to, group, requestId } = sent
    this.onMessage?.({ from: to, to: from, group: groupKey(group), message: response })
    void bytesOf(records).then((bytes) => {
      this.schedule(() => {
        if (sent.isOver) return
        this.#end(sent)
        const isJoined =
          response.type === 'fetch' && response.epochStarts.length + response.voterSets.length === 0
        const batches = response.type === 'fetch' ? readBatches(bytes, this.#runtime.checksum, isJoined) : []
        const whole = response.type === 'fetch' ? { ...response, batches } : response
        this.#handlers.get(from)?.response(to, group, requestId, whole)
      })
    })
  }

  #drop(isDropped: (sent: Sent) => boolean): void {
    for (const sent of this.#sent.filter(isDropped)) {
      this.#end(sent)
      this.schedule(() => this.#handlers.get(sent.from)?.failed(sent.group, sent.requestId))
    }
  }

  #end(sent: Sent): void {
    sent.isOver = true
    this.#sent = this.#sent.filter((each) => each !== sent)
  }

  #contact(isMeant: (sent: Sent) => boolean): number {
    return this.#sent.some(isMeant) ? this.#runtime.clock.monotonicMs() : Number.NEGATIVE_INFINITY
  }
}

function isFetchOf({ group, request }: Sent, other: GroupRef): boolean {
  return request.type === 'fetch' && groupKey(group) === groupKey(other)
}

async function bytesOf(parts: readonly SendPart[]): Promise<Uint8Array> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + partBytes(part), 0))
  let at = 0
  for (const part of parts) {
    if (part instanceof Uint8Array) bytes.set(part, at)
    else await (part.file as DiskFile).read(bytes.subarray(at, at + part.lengthBytes), part.position)
    at += partBytes(part)
  }
  return bytes
}
