import type { Timer } from '../runtime/clock.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { OffsetsTopic } from './offsetsReign.ts'
import { Shard, type ShardOptions } from './shard.ts'

/** How many logs are read at the same time. */
const loadsAtOnce = 4
/** A log that could not be read is tried again after this, and then after twice as long each time. */
const firstRetryMs = 1_000
const longestRetryMs = 60_000

/**
 * The shards of the partitions that this node leads: one for each reign, made when the reign begins and thrown away when it
 * ends. It does not rest on being told of either in order: whoever asks looks at how things are, so that nothing that comes
 * late can bring an older reign back.
 */
export class Shards {
  readonly #runtime: Runtime
  readonly #topic: OffsetsTopic
  readonly #options: Omit<ShardOptions, 'partition' | 'lost'>
  readonly #shards = new Map<number, Shard>()
  readonly #toLoad: Shard[] = []
  readonly #retries = new Map<number, Timer>()
  #loading = 0
  #isClosed = false

  constructor(runtime: Runtime, topic: OffsetsTopic, options: Omit<ShardOptions, 'partition' | 'lost'>) {
    this.#runtime = runtime
    this.#topic = topic
    this.#options = options
  }

  /** Takes up every partition that this node leads; resolves once all of them were read. */
  async start(): Promise<void> {
    const loads: Promise<void>[] = []
    for (let partition = 0; partition < this.#topic.partitionCount; partition++) {
      const shard = this.look(partition)
      if (shard !== null) loads.push(shard.loaded)
    }
    await Promise.all(loads)
  }

  /**
   * The shard of a partition as things are now; null while this node does not lead it. To be called when that may have
   * changed: who waits in a shard whose reign is over is sent away at once.
   */
  look(partition: number): Shard | null {
    const known = this.#shards.get(partition) ?? null
    if (this.#isClosed) return known
    const reign = this.#topic.reign(partition)
    if (known !== null && known.reign === reign) return known
    if (known !== null) this.#unload(partition, known)
    return reign === null ? null : this.#open(partition, firstRetryMs)
  }

  /** All that there are. */
  values(): IterableIterator<Shard> {
    return this.#shards.values()
  }

  /** Sends away whoever waits and resolves once what was handed to the logs has ended. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#toLoad.length = 0
    for (const timer of this.#retries.values()) timer.cancel()
    this.#retries.clear()
    await Promise.all(Array.from(this.#shards.values(), (shard) => shard.close()))
  }

  #open(partition: number, retryMs: number): Shard | null {
    const reign = this.#topic.reign(partition)
    if (reign === null) return null
    const shard: Shard = new Shard(this.#runtime, reign, {
      ...this.#options,
      partition,
      lost: () => {
        if (this.#shards.get(partition) !== shard) return
        this.#unload(partition, shard)
        this.look(partition)
      },
    })
    this.#shards.set(partition, shard)
    void shard.loaded.then(() => {
      if (shard.hasFailed) this.#retryLater(partition, shard, retryMs)
    })
    if (shard.refusal !== null) {
      this.#toLoad.push(shard)
      this.#loadNext()
    }
    return shard
  }

  #unload(partition: number, shard: Shard): void {
    this.#shards.delete(partition)
    this.#retries.get(partition)?.cancel()
    this.#retries.delete(partition)
    const queued = this.#toLoad.indexOf(shard)
    if (queued >= 0) this.#toLoad.splice(queued, 1)
    shard.unload()
  }

  #loadNext(): void {
    while (this.#loading < loadsAtOnce) {
      const shard = this.#toLoad.shift()
      if (shard === undefined) return
      this.#loading++
      void shard.load().finally(() => {
        this.#loading--
        this.#loadNext()
      })
    }
  }

  #retryLater(partition: number, shard: Shard, delayMs: number): void {
    if (this.#isClosed || this.#shards.get(partition) !== shard) return
    const timer = this.#runtime.clock.setTimer(delayMs, () => {
      this.#unload(partition, shard)
      this.#open(partition, Math.min(2 * delayMs, longestRetryMs))
    })
    this.#retries.set(partition, timer)
  }
}
