/** A leader epoch and the first offset written in it. */
export interface EpochStart {
  readonly epoch: number
  readonly startOffset: number
}

/** Which leader epoch wrote which offsets. Epochs and start offsets grow. Source: KIP-101, KIP-320. */
export class LeaderEpochs {
  #entries: EpochStart[]
  /** The last entry; -1 for none. */
  #latestEpoch = -1
  #latestStart = -1

  constructor(entries: readonly EpochStart[] = []) {
    this.#entries = []
    for (const { epoch, startOffset } of entries) this.assign(epoch, startOffset)
  }

  get entries(): readonly EpochStart[] {
    return this.#entries
  }

  /** The latest epoch, -1 for none. */
  get latestEpoch(): number {
    return this.#latestEpoch
  }

  /** Records that `epoch` writes from `startOffset` on; entries that this contradicts go. True if anything changed. */
  assign(epoch: number, startOffset: number): boolean {
    if (epoch < 0) return false
    if (this.#latestEpoch === epoch && this.#latestStart <= startOffset) return false
    while (this.#entries.length > 0) {
      const { epoch: lastEpoch, startOffset: lastStart } = this.#entries.at(-1)!
      if (lastEpoch < epoch && lastStart < startOffset) break
      this.#entries.pop()
    }
    this.#entries.push({ epoch, startOffset })
    this.#latestEpoch = epoch
    this.#latestStart = startOffset
    return true
  }

  /** The epoch that wrote `offset`, -1 when nothing is known. */
  epochFor(offset: number): number {
    return this.#entries.findLast(({ startOffset }) => startOffset <= offset)?.epoch ?? -1
  }

  /**
   * The greatest epoch up to `epoch` that the log has, and the exclusive end of its records; (-1, -1) when
   * nothing is known of it.
   */
  endOffsetFor(epoch: number, logEndOffset: number): { epoch: number; endOffset: number } {
    if (epoch >= 0 && epoch === this.latestEpoch) return { epoch, endOffset: logEndOffset }
    const next = this.#entries.findIndex((entry) => entry.epoch > epoch)
    if (next < 0 || epoch < 0) return { epoch: -1, endOffset: -1 }
    const endOffset = this.#entries[next]!.startOffset
    return { epoch: next === 0 ? epoch : this.#entries[next - 1]!.epoch, endOffset }
  }

  /** Forgets epochs that began at or above `endOffset`. True if anything changed. */
  truncateFromEnd(endOffset: number): boolean {
    const before = this.#entries.length
    this.#setEntries(this.#entries.filter(({ startOffset }) => startOffset < endOffset))
    return this.#entries.length !== before
  }

  /** Forgets what lies below `startOffset`; the epoch that holds it then begins there. True if anything changed. */
  truncateFromStart(startOffset: number): boolean {
    const holder = this.#entries.findLastIndex((entry) => entry.startOffset <= startOffset)
    if (holder < 0 || (holder === 0 && this.#entries[0]!.startOffset === startOffset)) return false
    const held = { epoch: this.#entries[holder]!.epoch, startOffset }
    this.#setEntries([held, ...this.#entries.slice(holder + 1)])
    return true
  }

  #setEntries(entries: EpochStart[]): void {
    this.#entries = entries
    const last = entries.at(-1)
    this.#latestEpoch = last?.epoch ?? -1
    this.#latestStart = last?.startOffset ?? -1
  }

  /** The entries that begin below `endOffset`. */
  entriesBefore(endOffset: number): readonly EpochStart[] {
    if (this.#latestStart < endOffset) return this.#entries
    return this.#entries.filter(({ startOffset }) => startOffset < endOffset)
  }

  clone(): LeaderEpochs {
    return new LeaderEpochs(this.#entries)
  }

  /** The text of `leader-epoch-checkpoint`. */
  encode(): string {
    const lines = this.#entries.map(({ epoch, startOffset }) => `${epoch} ${startOffset}`)
    return ['0', String(lines.length), ...lines, ''].join('\n')
  }

  /** Reads the text of `leader-epoch-checkpoint`; null when it is not one. */
  static decode(text: string): LeaderEpochs | null {
    const lines = text.split('\n')
    const count = Number(lines[1])
    if (lines[0] !== '0' || !Number.isInteger(count) || count < 0 || lines.length < count + 2) return null
    const entries: EpochStart[] = []
    for (const line of lines.slice(2, count + 2)) {
      const match = /^(\d{1,10}) (\d{1,16})$/.exec(line)
      if (match === null) return null
      const entry = { epoch: Number(match[1]), startOffset: Number(match[2]) }
      const last = entries.at(-1)
      if (last !== undefined && (last.epoch >= entry.epoch || last.startOffset >= entry.startOffset))
        return null
      entries.push(entry)
    }
    return new LeaderEpochs(entries)
  }
}
