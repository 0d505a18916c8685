import { blockBytes } from './fileData.ts'
import type { NodeId, Unit } from './medium.ts'

/** What becomes of a block once it has been written again: it can be read, or it cannot be read all the same. */
export type SectorFate = 'remapped' | 'lost'

/**
 * The blocks of files that a disk cannot read. What is cached can be; what is written over as a whole and synced lies elsewhere from
 * then on, as drives do it.
 */
export class BadSectors {
  /** Whether there ever was one. */
  wereAny = false
  readonly #files = new Map<NodeId, Map<number, SectorFate>>()

  /** Whether all can be read. */
  get isEmpty(): boolean {
    return this.#files.size === 0
  }

  /** From now on the blocks of a file that `position` to `end` (exclusive) touch cannot be read. */
  add(file: NodeId, position: number, end: number, fate: SectorFate): void {
    const blocks = this.#files.get(file) ?? new Map<number, SectorFate>()
    for (let index = Math.floor(position / blockBytes); index * blockBytes < end; index++)
      blocks.set(index, fate)
    this.#files.set(file, blocks)
    this.wereAny = true
  }

  /** Whether something between `position` and `end` can neither be read nor is about to be stored anew. */
  has(file: NodeId, position: number, end: number, pending: readonly Unit[]): boolean {
    const blocks = this.#files.get(file)
    if (blocks === undefined) return false
    for (const [index, fate] of blocks) {
      const isTouched = index * blockBytes < end && (index + 1) * blockBytes > position
      const isCached = fate === 'remapped' && writes(pending, file, index, Number.POSITIVE_INFINITY)
      if (isTouched && !isCached) return true
    }
    return false
  }

  /** A sync of a file (null: of all) has ended, of what was written up to `upTo`. */
  synced(file: NodeId | null, upTo: number, pending: readonly Unit[]): void {
    for (const node of file === null ? [...this.#files.keys()] : [file])
      for (const [index, fate] of this.#files.get(node) ?? [])
        if (fate === 'remapped' && writes(pending, node, index, upTo)) this.#remove(node, index)
  }

  /** A file has become as short as `sizeBytes`, or is gone. */
  cut(file: NodeId, sizeBytes = 0): void {
    for (const index of this.#files.get(file)?.keys() ?? [])
      if (index * blockBytes >= sizeBytes) this.#remove(file, index)
  }

  /** Everything can be read again. */
  clear(): void {
    this.#files.clear()
  }

  #remove(file: NodeId, index: number): void {
    const blocks = this.#files.get(file)!
    blocks.delete(index)
    if (blocks.size === 0) this.#files.delete(file)
  }
}

function writes(pending: readonly Unit[], file: NodeId, index: number, upTo: number): boolean {
  return pending.some(
    (unit) => unit.kind === 'block' && unit.file === file && unit.index === index && unit.order <= upTo,
  )
}
