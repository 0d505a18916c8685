import type { DiskCallKind, DiskPace } from './diskPace.ts'
import { EventKind } from './eventKinds.ts'
import type { EventQueue } from './eventQueue.ts'
import type { SimFileSystem } from './simFileSystem.ts'
import type { SimRandom } from './simRandom.ts'
import type { DiskCall, DiskFault } from './systemCalls.ts'

/** Milliseconds from, to. */
export type Range = readonly [min: number, max: number]

const isSync: Readonly<Partial<Record<DiskCallKind, true>>> = {
  sync: true,
  syncDirectory: true,
  syncFileSystem: true,
}

/** How long the calls of one machine's disk take, and which of them fail. */
export class DiskTrouble implements DiskPace {
  readonly #queue: EventQueue
  readonly #node: number
  readonly #random: SimRandom
  readonly #syncMs: Range
  readonly #callMs: Range
  slowMs: Range | null = null
  isHung = false
  isFull = false
  hasNoDescriptors = false
  readErrorShare = 0
  shortWriteShare = 0
  /** Counts down to the sync that fails; 0 for none. */
  syncErrorIn = 0
  /** Whether a sync has failed since the process began. */
  hasFailedSync = false
  /** Whether the next sync of the file system tells of a sync that failed in an earlier process, as Linux does. */
  owesSyncError = false
  /** Asked at each call of the disk, before it is made. */
  onCall: (() => void) | null = null

  constructor(queue: EventQueue, node: number, random: SimRandom, syncMs: Range, callMs: Range) {
    this.#queue = queue
    this.#node = node
    this.#random = random
    this.#syncMs = syncMs
    this.#callMs = callMs
  }

  /** Nothing is wrong any more. */
  heal(): void {
    this.slowMs = null
    this.isHung = false
    this.isFull = false
    this.hasNoDescriptors = false
    this.readErrorShare = 0
    this.shortWriteShare = 0
    this.syncErrorIn = 0
  }

  wait(kind: DiskCallKind): Promise<void> | null {
    if (this.isHung) return new Promise(() => {})
    const random = this.#random
    // What the page cache serves takes no time, most of the time.
    if (isSync[kind] === undefined && this.slowMs === null && random.below(4) > 0) return null
    const [min, max] = this.slowMs ?? (isSync[kind] === true ? this.#syncMs : this.#callMs)
    const delayMs = min + (random.below(4096) / 4096) * (max - min)
    return new Promise((resolve) => this.#queue.add(delayMs, EventKind.disk, this.#node, resolve))
  }

  /** What goes wrong with a call; null lets it pass. */
  faultOf(call: DiskCall, fs: SimFileSystem): DiskFault | null {
    const { kind } = call
    this.onCall?.()
    const random = this.#random
    if (kind === 'sync' && this.syncErrorIn > 0 && --this.syncErrorIn === 0) {
      this.hasFailedSync = true
      return { code: 'EIO' }
    }
    if (kind === 'syncFileSystem' && this.owesSyncError) {
      this.owesSyncError = false
      return { code: 'EIO' }
    }
    if (kind === 'open' && this.hasNoDescriptors) return { code: 'EMFILE' }
    if (this.isFull && needsRoom(call, fs)) return { code: 'ENOSPC', writtenBytes: random.below(3) * 512 }
    if (kind === 'read' && this.readErrorShare > 0 && random.chance(this.readErrorShare))
      return { code: 'EIO' }
    if (kind === 'write' && this.shortWriteShare > 0 && random.chance(this.shortWriteShare)) {
      return { code: 'EINTR', writtenBytes: random.below(4096) }
    }
    return null
  }
}

/** Whether a call takes room that is not allocated yet: writing over what is there does not. */
function needsRoom({ kind, path, position, length }: DiskCall, fs: SimFileSystem): boolean {
  if (kind === 'makeDirectory') return true
  if (kind !== 'open' && kind !== 'write') return false
  return fs.stat(path) === null || (kind === 'write' && fs.hasHoles(path, position, length))
}
