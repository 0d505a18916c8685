/** What is wrong with the first bad batch of a walk. */
export type BatchFaultKind = 'length' | 'magic' | 'checksum' | 'offset' | 'cut' | 'epoch'

/** The first bad batch of a walk: what must be there, and what is. */
export interface BatchFault {
  readonly kind: BatchFaultKind
  readonly expected: number
  readonly found: number
}

/** What a walk over record batches found. */
export interface BatchCheck {
  /** Bytes of good batches, from the start. The rest is one that is cut off by the end, unless there is a fault. */
  readonly validBytes: number
  /** The offset after the last good batch; what was asked for if there is none. */
  readonly nextOffset: number
  /** The leader epoch of the last good batch; the least that was asked for if there is none. */
  readonly lastEpoch: number
  /** How many batches are good. */
  readonly batches: number
  /** Why the walk ended before the end; the bad batch begins at `validBytes`. */
  readonly fault: BatchFault | null
}

/** A fault in words, as `Corruption` wants them. */
export function describeFault({ kind, expected, found }: BatchFault): { expected: string; found: string } {
  switch (kind) {
    case 'length':
      return { expected: `a batch of at least ${expected} bytes`, found: `a batch of ${found}` }
    case 'magic':
      return { expected: `a batch of magic ${expected}`, found: `magic ${found}` }
    case 'checksum':
      return { expected: `checksum ${expected}`, found: `checksum ${found}` }
    case 'offset':
      return { expected: `an offset from ${expected} on`, found: `offset ${found}` }
    case 'epoch':
      return { expected: `leader epoch ${expected}`, found: `leader epoch ${found}` }
    case 'cut':
      return { expected: `a batch of ${expected} bytes`, found: `an end after ${found}` }
  }
}
