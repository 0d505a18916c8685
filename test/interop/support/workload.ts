import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Producer } from 'kafkajs'
import { expect } from 'vitest'
import { killed } from '../../support/killed.ts'
import { kcatRead, type Seen } from './clients.ts'
import { kafkajs, withAdmin } from './kafkajs.ts'
import { until } from './run.ts'

/** How many consumers the group has. */
const memberCount = 2
const memberProgram = fileURLToPath(new URL('groupMember.mjs', import.meta.url))

/** What a member of the group tells, one at a time. */
interface MemberNews {
  readonly joined?: boolean
  readonly read?: string
  readonly crash?: string
}

/** How the clients of a workload are. */
export interface WorkloadOptions {
  readonly bootstrap: string
  readonly topic: string
  readonly partitions: number
}

/**
 * Clients that go on while brokers come and go: an idempotent producer for each partition that waits for all replicas, a
 * consumer group of two, and somebody who watches what the group commits.
 */
export class Workload {
  readonly groupId: string
  /** What was acknowledged, in the order of each partition. */
  readonly acknowledged: Seen[] = []
  /** Requests of producers that were given up, and why. */
  readonly failures: string[] = []
  /** Why consumers have stopped for good. */
  readonly crashes: string[] = []
  /** What the group has read, `PARTITION/OFFSET`. */
  readonly read = new Set<string>()
  /** Committed offsets that were seen to go back. */
  readonly setbacks: string[] = []
  /** The longest time between two acknowledgements of a partition, in milliseconds. */
  longestGapMs = 0
  readonly #options: WorkloadOptions
  readonly #producers: Producer[] = []
  readonly #members: ChildProcess[] = []
  readonly #joined = new Set<ChildProcess>()
  readonly #committed = new Map<number, number>()
  #isRunning = true
  #work: Promise<unknown> = Promise.resolve()

  private constructor(options: WorkloadOptions) {
    this.#options = options
    this.groupId = `${options.topic}-group`
  }

  /** Begins; resolves when every partition has been written to and read from. */
  static async start(options: WorkloadOptions): Promise<Workload> {
    const workload = new Workload(options)
    for (let count = 0; count < memberCount; count++) workload.#consume()
    const partitions = Array.from({ length: options.partitions }, (_, partition) => partition)
    const writers = await Promise.all(partitions.map((partition) => workload.#connect(partition)))
    workload.#work = Promise.all([...writers.map((write) => write()), workload.#watch()])
    // What kafkajs asks for before it has joined it asks for once: a broker that is gone then ends it.
    await until('every member to join the group', () => workload.#joined.size === memberCount, 60_000)
    await workload.progress()
    return workload
  }

  /** Resolves once every partition has taken, and the group has read, another `count` records. */
  async progress(count = 20): Promise<void> {
    const { partitions } = this.#options
    const targets = Array.from({ length: partitions }, (_, index) => this.#lastOffset(index) + count)
    await until(
      'every partition to take records, and the group to read them',
      () =>
        targets.every(
          (offset, partition) =>
            this.#lastOffset(partition) >= offset && this.read.has(`${partition}/${offset}`),
        ),
      60_000,
    ).catch((cause: unknown) => {
      throw new Error(`${(cause as Error).message}\n${this.status}`, { cause })
    })
  }

  /** How far it is, for whoever looks for what went wrong. */
  get status(): string {
    const { partitions } = this.#options
    const lines = Array.from({ length: partitions }, (_, partition) => {
      const read = [...this.read].flatMap((each) => {
        const [of, offset] = each.split('/')
        return Number(of) === partition ? [Number(offset)] : []
      })
      const committed = this.#committed.get(partition) ?? -1
      return `${partition}: acknowledged ${this.#lastOffset(partition)}, read ${Math.max(-1, ...read)}, committed ${committed}`
    })
    return [...lines, ...this.failures, ...this.crashes].join('\n')
  }

  /** Ends, and checks that everything that was acknowledged is there once, in order, and was read by the group. */
  async finish(): Promise<void> {
    const { bootstrap, topic } = this.#options
    this.#isRunning = false
    await this.#work
    await until('the group to read all that was acknowledged', () => this.#unread().length === 0, 60_000)
    await this.stop()
    const stored = new Map<string, Seen>()
    const values = new Set<string>()
    for (const seen of await kcatRead(bootstrap, topic)) {
      stored.set(`${seen.partition}/${seen.offset}`, seen)
      expect(values.has(seen.value), `${seen.value} is there twice`).toBe(false)
      values.add(seen.value)
    }
    for (const record of this.acknowledged) {
      expect(stored.get(`${record.partition}/${record.offset}`)).toEqual(record)
    }
    const last = new Map<number, number>()
    for (const { partition, offset } of this.acknowledged) {
      expect(offset).toBeGreaterThan(last.get(partition) ?? -1)
      last.set(partition, offset)
    }
    expectNone(this.setbacks)
    expectNone(this.crashes)
  }

  /** No producer has given a request up. */
  expectNothingGivenUp(): void {
    expectNone(this.failures, `, with the longest gap of ${Math.round(this.longestGapMs)} ms`)
  }

  /** Ends all clients. */
  async stop(): Promise<void> {
    this.#isRunning = false
    await Promise.allSettled([
      ...this.#producers.map((client) => client.disconnect()),
      ...this.#members.map(killed),
    ])
  }

  #lastOffset(partition: number): number {
    return this.acknowledged.findLast((seen) => seen.partition === partition)?.offset ?? -1
  }

  #unread(): readonly Seen[] {
    return this.acknowledged.filter(({ partition, offset }) => !this.read.has(`${partition}/${offset}`))
  }

  async #connect(partition: number): Promise<() => Promise<void>> {
    const { bootstrap, topic } = this.#options
    const producer = kafkajs(bootstrap).producer({ idempotent: true, maxInFlightRequests: 1 })
    this.#producers.push(producer)
    await producer.connect()
    let count = 0
    return async () => {
      let lastMs = performance.now()
      while (this.#isRunning) {
        const key = `${partition}`
        const messages = [0, 1, 2].map(() => ({ partition, key, value: `record ${partition}/${count++}` }))
        try {
          const [answer] = await producer.send({ topic, acks: -1, messages })
          for (const [index, { value }] of messages.entries()) {
            this.acknowledged.push({ partition, offset: Number(answer!.baseOffset) + index, key, value })
          }
          this.longestGapMs = Math.max(this.longestGapMs, performance.now() - lastMs)
          lastMs = performance.now()
        } catch (error) {
          this.failures.push(`record ${partition}/${count - 1}: ${reasonOf(error)}`)
        }
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
    }
  }

  #consume(): void {
    const { bootstrap, topic } = this.#options
    const member = fork(memberProgram, [bootstrap, topic, this.groupId])
    this.#members.push(member)
    member.on('message', ({ joined, read, crash }: MemberNews) => {
      if (joined) this.#joined.add(member)
      if (read !== undefined) this.read.add(read)
      if (crash !== undefined) this.crashes.push(crash)
    })
    member.on('exit', (code) => {
      if (this.#isRunning) this.crashes.push(`a member of the group ended with ${code}`)
    })
  }

  async #watch(): Promise<void> {
    const { bootstrap, topic } = this.#options
    while (this.#isRunning) {
      try {
        await withAdmin(bootstrap, async (admin) => {
          while (this.#isRunning) {
            const [found] = await admin.fetchOffsets({ groupId: this.groupId, topics: [topic] })
            for (const { partition, offset } of found?.partitions ?? [])
              this.#noteCommitted(partition, offset)
            await new Promise((resolve) => setTimeout(resolve, 100))
          }
        })
      } catch {
        // Its broker has gone; another one knows as much.
      }
    }
  }

  #noteCommitted(partition: number, text: string): void {
    const offset = Number(text)
    const before = this.#committed.get(partition) ?? -1
    if (offset < before) this.setbacks.push(`partition ${partition} went from ${before} to ${offset}`)
    this.#committed.set(partition, Math.max(offset, before))
  }
}

/** An error of kafkajs with what it was caused by: the outermost one often says no more than that it gave up. */
function reasonOf(error: unknown): string {
  const reasons: string[] = []
  for (let each = error; each instanceof Error && !reasons.includes(String(each)); each = each.cause) {
    reasons.push(String(each))
  }
  return reasons.join(', because of ') || String(error)
}

/** Fails with all that happened: summaries show no more of a list than how long it is. */
function expectNone(happened: readonly string[], circumstances = ''): void {
  expect(happened, `${happened.join('; ')}${circumstances}`).toEqual([])
}
