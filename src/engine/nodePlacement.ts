import type { LedGroup } from '../replica/nodes/nodeRouter.ts'
import { NotLeaderError } from '../replica/notLeader.ts'
import { type LogSettings, refuse } from './logSettings.ts'

/** How a replicated partition is kept, and where. */
export interface PartitionSettings extends LogSettings {
  /**
   * Ids of the nodes that have a replica of it, voters of the cluster: a partition has its own. Default: every voter of the
   * cluster, also those that come later.
   */
  readonly replicas?: readonly number[] | undefined
}

/** Settings, and where the partition is to be apart from them; null for everywhere. Throws `invalidConfig`. */
export function splitPlacement({ replicas, ...settings }: PartitionSettings): {
  readonly settings: LogSettings
  readonly placement: readonly number[] | null
} {
  if (replicas === undefined) return { settings, placement: null }
  const isSound =
    Array.isArray(replicas) &&
    replicas.length > 0 &&
    replicas.every((id) => Number.isSafeInteger(id) && id >= 0 && id < 2 ** 31) &&
    new Set(replicas).size === replicas.length
  if (!isSound) refuse(`replicas has to name nodes, each once, not ${JSON.stringify(replicas)}`)
  return { settings, placement: [...replicas].sort((a, b) => a - b) }
}

/** The replicas of a partition of which this node has none: who is thought to lead them. */
export class DistantGroup implements LedGroup {
  readonly #placement: readonly number[]
  #leaderId: number

  /** `placement` has at least one node. */
  constructor(placement: readonly number[]) {
    this.#placement = placement
    this.#leaderId = placement[0]!
  }

  get leaderId(): number {
    return this.#leaderId
  }

  /** Nobody tells; `missed` is how it is found out. */
  watch(): () => void {
    return () => {}
  }

  missed(asked: number, error: unknown): void {
    const told = error instanceof NotLeaderError ? error.leaderId : -1
    const at = this.#placement.indexOf(asked)
    const next = this.#placement[(at + 1) % this.#placement.length]!
    this.#leaderId = told !== asked && this.#placement.includes(told) ? told : next
  }
}
