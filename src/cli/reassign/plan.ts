import { UsageError } from '../failure.ts'

/** A broker that replicas may be put on. */
export interface PlanBroker {
  readonly id: number
  readonly rack: string | null
}

/** Which brokers have a partition; the first is to lead it. */
export interface Assignment {
  readonly topic: string
  readonly partition: number
  readonly replicas: readonly number[]
}

/** Reads a plan in the format of Kafka's `kafka-reassign-partitions`. Throws `UsageError` that says what is wrong where. */
export function parsePlan(text: string, file: string): readonly Assignment[] {
  const refuse = (what: string): UsageError => new UsageError(`${file}: ${what}`)
  let found: unknown
  try {
    found = JSON.parse(text)
  } catch (error) {
    throw refuse(`no JSON: ${(error as Error).message}`)
  }
  const { version, partitions } = (found ?? {}) as { version?: unknown; partitions?: unknown }
  if (version !== 1) throw refuse('expected {"version":1,"partitions":[…]}, as "reassign generate" prints it')
  if (!Array.isArray(partitions) || partitions.length === 0)
    throw refuse('"partitions" must be a list with something in it')
  const seen = new Set<string>()
  return partitions.map((each: unknown, index): Assignment => {
    const where = `partitions[${index}]`
    const { topic, partition, replicas } = (each ?? {}) as Partial<Record<keyof Assignment, unknown>>
    if (typeof topic !== 'string' || topic === '') throw refuse(`${where}.topic must be a name`)
    if (!isId(partition)) throw refuse(`${where}.partition must be a number from 0 on`)
    if (!Array.isArray(replicas) || replicas.length === 0 || !replicas.every(isId)) {
      throw refuse(`${where}.replicas must be a list of broker ids`)
    }
    if (new Set(replicas).size !== replicas.length) throw refuse(`${where}.replicas names a broker twice`)
    const name = `${topic}-${partition}`
    if (seen.has(name)) throw refuse(`${where}: ${name} stands there twice`)
    seen.add(name)
    return { topic, partition, replicas }
  })
}

/** `assignments` in the format of Kafka's `kafka-reassign-partitions`, a partition a line. */
export function planText(assignments: readonly Assignment[]): string {
  const lines = assignments.map(({ topic, partition, replicas }) =>
    JSON.stringify({ topic, partition, replicas }),
  )
  return `{"version":1,"partitions":[\n${lines.join(',\n')}\n]}\n`
}

/**
 * Where `current` partitions should be: `replicationFactor` replicas each (null: as many as now) on `brokers` only, spread
 * evenly and over racks, with leaders spread evenly, and moving no more than that takes. Throws `UsageError` when there are too
 * few brokers.
 */
export function balancedPlan(
  current: readonly Assignment[],
  brokers: readonly PlanBroker[],
  replicationFactor: number | null,
): readonly Assignment[] {
  return new Balancer(current, brokers, replicationFactor).plan()
}

class Balancer {
  readonly #partitions: {
    readonly topic: string
    readonly partition: number
    readonly wanted: number
    replicas: number[]
  }[]
  readonly #load = new Map<number, number>()
  readonly #racks = new Map<number, string | null>()

  constructor(
    current: readonly Assignment[],
    brokers: readonly PlanBroker[],
    replicationFactor: number | null,
  ) {
    for (const { id, rack } of brokers) {
      this.#load.set(id, 0)
      this.#racks.set(id, rack)
    }
    this.#partitions = current.map(({ topic, partition, replicas }) => {
      const wanted = replicationFactor ?? replicas.length
      if (wanted > brokers.length) {
        throw new UsageError(
          `${topic}-${partition} is to have ${wanted} replicas, and there are ${brokers.length} brokers to put them on`,
        )
      }
      return {
        topic,
        partition,
        wanted,
        replicas: replicas.filter((id) => this.#load.has(id)).slice(0, wanted),
      }
    })
    for (const { replicas } of this.#partitions) for (const id of replicas) this.#add(id, 1)
  }

  plan(): readonly Assignment[] {
    for (const each of this.#partitions) {
      while (each.replicas.length < each.wanted) {
        const id = this.#lightest(each.replicas)
        each.replicas.push(id)
        this.#add(id, 1)
      }
    }
    while (this.#levelOnce());
    return this.#withLeaders()
  }

  #add(id: number, count: number): void {
    this.#load.set(id, this.#load.get(id)! + count)
  }

  /** The broker with the least, of those that `replicas` has not; one in a new rack before all others. */
  #lightest(replicas: readonly number[]): number {
    const racks = new Set(replicas.map((id) => this.#racks.get(id)))
    const candidates = [...this.#load].filter(([id]) => !replicas.includes(id))
    const inNewRack = candidates.filter(([id]) => !racks.has(this.#racks.get(id)))
    const [first] = (inNewRack.length > 0 ? inNewRack : candidates).sort(([a, x], [b, y]) => x - y || a - b)
    return first![0]
  }

  /** Moves one replica from a broker with more to one with fewer; false when nothing is gained any more. */
  #levelOnce(): boolean {
    const byLoad = [...this.#load].sort(([a, x], [b, y]) => y - x || a - b)
    for (const [from, most] of byLoad) {
      for (const [to, least] of [...byLoad].reverse()) {
        if (most - least < 2) break
        const found = this.#partitions.find(({ replicas }) => this.#mayMove(replicas, from, to))
        if (found === undefined) continue
        found.replicas = found.replicas.map((id) => (id === from ? to : id))
        this.#add(from, -1)
        this.#add(to, 1)
        return true
      }
    }
    return false
  }

  #mayMove(replicas: readonly number[], from: number, to: number): boolean {
    if (!replicas.includes(from) || replicas.includes(to)) return false
    const racks = (ids: readonly number[]): number => new Set(ids.map((id) => this.#racks.get(id))).size
    return racks(replicas.map((id) => (id === from ? to : id))) >= racks(replicas)
  }

  /** The replica that leads the fewest partitions yet comes first; who leads now is kept where that is as good. */
  #withLeaders(): readonly Assignment[] {
    const leads = new Map<number, number>([...this.#load.keys()].map((id) => [id, 0]))
    return this.#partitions.map(({ topic, partition, replicas }) => {
      const leader = replicas.reduce((best, id) => (leads.get(id)! < leads.get(best)! ? id : best))
      leads.set(leader, leads.get(leader)! + 1)
      return { topic, partition, replicas: [leader, ...replicas.filter((id) => id !== leader)] }
    })
  }
}

function isId(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}
