/** What becomes of stored bytes: some bits, a sector of zeros, a tail that is gone, a write that landed elsewhere or nowhere, two files swapped. */
export type DamageKind = 'bits' | 'zeroSector' | 'cutTail' | 'misdirected' | 'lostWrite' | 'swapped'

/** What of the unsynced blocks a power cut leaves: each with this probability. */
export type KeptShare = 0 | 0.1 | 0.5 | 0.9 | 1

/** Which unsynced changes of names and lengths a power cut leaves: the first of them, or any. */
export type KeptNames = 'journalled' | 'adversarial'

/** Which pairs of nodes a partition cuts: `from` no longer reaches `to`. */
export interface Cut {
  readonly from: number
  readonly to: number
}

/**
 * The shape of a partition, for whoever reads of it; `links` is what counts. But for `clientWithLeader`: who leads when it
 * happens is cut off from all others, and clients reach nobody else.
 */
export type PartitionShape = 'symmetric' | 'oneWay' | 'ring' | 'bridge' | 'isolated' | 'clientWithLeader'

/**
 * Something that goes wrong, or that an operator does. Nodes are named by their id, or by what they are when it happens:
 * `'leader'` is the leader of the first group (the lowest running node while there is none). `forMs` is how long it lasts,
 * by the world's clock; infinite ones last until `World.heal`.
 */
export type FaultAction =
  // Processes.
  /** The process dies; what it has handed to the system stays. Starts again after `downMs`; never when infinite. */
  | { readonly kind: 'kill'; readonly node: Target; readonly downMs: number }
  /** The process dies in its `calls`-th call of the disk or network from now on. */
  | { readonly kind: 'killAtCall'; readonly node: Target; readonly calls: number; readonly downMs: number }
  /** The power goes: what is not synced may be lost. Torn at sectors where a write was under way. */
  | {
      readonly kind: 'powerCut'
      readonly node: Target | 'all'
      readonly kept: KeptShare
      readonly names: KeptNames
      readonly downMs: number
    }
  /**
   * The power goes right after the next vote, asked for or given, has left the node, in one of two cases before it is
   * stored. What is not synced is lost, and the node starts again at once.
   */
  | { readonly kind: 'crashAfterVote'; readonly node: Target; readonly afterMs: number }
  /** Dies in each of `times` starts, in the `calls`-th call of the disk. */
  | { readonly kind: 'crashLoop'; readonly node: Target; readonly times: number; readonly calls: number }
  /** Closes in order and starts again. */
  | { readonly kind: 'restart'; readonly node: Target; readonly downMs: number }
  /** Everything of the process stands still. */
  | { readonly kind: 'pause'; readonly node: Target; readonly forMs: number }
  // Clocks.
  | { readonly kind: 'wallJump'; readonly node: Target; readonly byMs: number }
  /** The monotonic clock runs `factor` times as fast. */
  | { readonly kind: 'drift'; readonly node: Target; readonly factor: number; readonly forMs: number }
  /** Timers fire early or late by up to `share` of their delay. */
  | { readonly kind: 'looseTimers'; readonly node: Target; readonly share: number; readonly forMs: number }
  // Network.
  /** What is sent over a cut link waits; connections are not told. `resets` breaks those that cross it when it heals. */
  | {
      readonly kind: 'partition'
      readonly shape: PartitionShape
      readonly links: readonly Cut[]
      readonly forMs: number
      /** How often it comes back after it has healed, each time after `forMs`: flapping. */
      readonly repeats: number
      readonly resets: boolean
    }
  /**
   * Each of the next `times` leaders of the first group is cut off from all others for `forMs` as soon as it leads: nobody learns
   * of its epoch, which is all in its log.
   */
  | { readonly kind: 'cutReigns'; readonly times: number; readonly forMs: number }
  /** Delay of a link, drawn for each chunk; a long tail now and then. */
  | {
      readonly kind: 'slowLink'
      readonly from: number
      readonly to: number
      readonly minMs: number
      readonly maxMs: number
      readonly forMs: number
    }
  /** Each chunk is lost with this probability, and comes again after the time that TCP takes to notice. */
  | {
      readonly kind: 'lossyLink'
      readonly from: number
      readonly to: number
      readonly loss: number
      readonly forMs: number
    }
  /** Nothing passes; then everything at once. */
  | { readonly kind: 'clog'; readonly from: number; readonly to: number; readonly forMs: number }
  /** The connections between two nodes are reset once so many more bytes have passed, at whatever byte that is. */
  | {
      readonly kind: 'reset'
      readonly from: number
      readonly to: number
      readonly afterBytes: number
    }
  /** Connections that `from` made to `to`: one side is told that they are closed, the other one is not. */
  | {
      readonly kind: 'halfOpen'
      readonly from: number
      readonly to: number
      readonly deaf: 'from' | 'to'
    }
  /**
   * `from` is told that its connections to `to` broke. What it had sent arrives only after `lateMs`, when a new connection
   * may have brought later requests already, and its answers go nowhere.
   */
  | { readonly kind: 'lateRequests'; readonly from: number; readonly to: number; readonly lateMs: number }
  /** New connections wait. */
  | {
      readonly kind: 'slowAccept'
      readonly node: Target
      readonly delayMs: number
      readonly forMs: number
    }
  // Disks.
  /** The `calls`-th sync from now on fails; of what it was to store a random part is never stored. */
  | { readonly kind: 'syncError'; readonly node: Target; readonly calls: number }
  | {
      readonly kind: 'readError'
      readonly node: Target
      readonly share: number
      readonly forMs: number
    }
  /** A part of a segment that is complete can no longer be read, until it is written again; `seed` draws where. */
  | { readonly kind: 'badSector'; readonly node: Target; readonly seed: number }
  /** Writes fail: the disk is full. A part of the bytes may have been written. */
  | { readonly kind: 'diskFull'; readonly node: Target; readonly forMs: number }
  /** Writes are cut short, and go on. */
  | { readonly kind: 'shortWrites'; readonly node: Target; readonly share: number; readonly forMs: number }
  /** No file can be opened that is not open. */
  | { readonly kind: 'noDescriptors'; readonly node: Target; readonly forMs: number }
  | {
      readonly kind: 'slowDisk'
      readonly node: Target
      readonly minMs: number
      readonly maxMs: number
      readonly forMs: number
    }
  /** No call of the disk returns any more, until the process is started again. */
  | { readonly kind: 'hungDisk'; readonly node: Target; readonly forMs: number }
  /** Stored bytes change while the process is down, which it is for a moment; `seed` draws where. */
  | { readonly kind: 'rot'; readonly node: Target; readonly damage: DamageKind; readonly seed: number }
  /** The disk is replaced by an empty one. */
  | { readonly kind: 'diskLost'; readonly node: Target; readonly downMs: number }
  /** The disk is copied; `agoMs` later the copy takes its place. */
  | { readonly kind: 'diskBack'; readonly node: Target; readonly agoMs: number; readonly downMs: number }
  /** Syncs return without storing anything, and a power cut follows. Only where the expectation says so. */
  | { readonly kind: 'lyingFlush'; readonly node: Target; readonly forMs: number }
  // Operators.
  | { readonly kind: 'transferLeadership'; readonly to: number }
  | { readonly kind: 'addVoter'; readonly node: number }
  | { readonly kind: 'removeVoter'; readonly node: number }
  /** The program takes a snapshot and drops what it covers. */
  | { readonly kind: 'snapshot'; readonly node: Target }

/** A node by its id, or by what it is at that moment. */
export type Target = number | 'leader'

/** The name of a kind of fault. */
export type FaultClass = FaultAction['kind']

/** One fault of a plan. `number` names it for good: a run without it has all the others unchanged. */
export type Fault = FaultAction & {
  readonly number: number
  /** When it happens, in milliseconds of the world's clock. */
  readonly atMs: number
}

/** The classes, in the order in which they are reported. */
export const faultClasses: readonly FaultClass[] = [
  'kill',
  'killAtCall',
  'powerCut',
  'crashAfterVote',
  'crashLoop',
  'restart',
  'pause',
  'wallJump',
  'drift',
  'looseTimers',
  'partition',
  'slowLink',
  'lossyLink',
  'clog',
  'reset',
  'halfOpen',
  'lateRequests',
  'slowAccept',
  'syncError',
  'readError',
  'diskFull',
  'shortWrites',
  'noDescriptors',
  'slowDisk',
  'hungDisk',
  'rot',
  'diskLost',
  'diskBack',
  'lyingFlush',
  'transferLeadership',
  'addVoter',
  'removeVoter',
  'snapshot',
  'cutReigns',
  'badSector',
]
