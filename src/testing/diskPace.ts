import type { Clock } from '../runtime/clock.ts'
import type { SimRandom } from './simRandom.ts'

/** A call of the system, as far as a disk makes it. */
export type DiskCallKind =
  | 'open'
  | 'write'
  | 'truncate'
  | 'sync'
  | 'read'
  | 'list'
  | 'stat'
  | 'makeDirectory'
  | 'rename'
  | 'remove'
  | 'syncDirectory'
  | 'syncFileSystem'

/** How long calls take: others run meanwhile. Null for no time at all. */
export interface DiskPace {
  wait(kind: DiskCallKind): Promise<void> | null
}

/** The most turns of the microtask queue that a call takes; what is not named takes one at most. */
const turns: Partial<Record<DiskCallKind, number>> = {
  write: 3,
  sync: 12,
  syncDirectory: 8,
  syncFileSystem: 16,
  rename: 2,
}

/**
 * Calls take a few turns of the microtask queue, drawn from `random`: fast, and every seed another interleaving. No
 * clock moves.
 */
export function turnPace(random: SimRandom): DiskPace {
  return {
    wait(kind: DiskCallKind): Promise<void> | null {
      const count = random.below((turns[kind] ?? 1) + 1)
      return count === 0 ? null : turnsPass(count)
    },
  }
}

/** Calls take no time. */
export const instantPace: DiskPace = { wait: () => null }

async function turnsPass(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await null
}

/** Milliseconds that calls take on a `clockPace`. */
export interface Latency {
  readonly minMs: number
  readonly maxMs: number
}

/** Calls take time of `clock`, syncs `sync` and all else `other`. */
export function clockPace(clock: Clock, random: SimRandom, sync: Latency, other: Latency): DiskPace {
  return {
    wait(kind: DiskCallKind): Promise<void> {
      const { minMs, maxMs } =
        kind === 'sync' || kind === 'syncDirectory' || kind === 'syncFileSystem' ? sync : other
      const delayMs = minMs + (random.below(1_000_001) / 1_000_000) * (maxMs - minMs)
      return new Promise((resolve) => clock.setTimer(delayMs, resolve))
    },
  }
}
