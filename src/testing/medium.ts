import { type Block, blockCount, emptyFile, type FileData, resizeData, tornBlock } from './fileData.ts'

/** Names a file or directory for as long as it exists, whatever it is called. */
export type NodeId = number
/** The names in a directory; never changed once made. */
export type Entries = ReadonlyMap<string, NodeId>

/** All files and directories at one moment. `files` and `directories` are keyed by node; `root` is a directory. */
export interface Image {
  readonly files: ReadonlyMap<NodeId, FileData>
  readonly directories: ReadonlyMap<NodeId, Entries>
}

/** The node that paths begin at. */
export const rootNode: NodeId = 0

/** A file system without any file. */
export const emptyImage: Image = { files: new Map(), directories: new Map([[rootNode, new Map()]]) }

/** Something that was done and that a crash may take back, each on its own. `order` grows. */
export type Unit =
  | {
      readonly kind: 'block'
      readonly order: number
      readonly file: NodeId
      readonly index: number
      readonly content: Block
    }
  | {
      readonly kind: 'grow' | 'truncate'
      readonly order: number
      readonly file: NodeId
      readonly sizeBytes: number
    }
  | NameUnit

/** A change of the names in a directory, whole or not at all: `set` to a node, or taken away; a rename is both. */
export interface NameUnit {
  readonly kind: 'name'
  readonly order: number
  readonly directory: NodeId
  readonly set: { readonly name: string; readonly node: NodeId } | null
  readonly cleared: string | null
  /** The directory that `cleared` is in. */
  readonly clearedIn: NodeId
}

/** What happens to what lies between the page cache and the medium. */
export type MediumEvent =
  | { readonly type: 'made'; readonly node: NodeId; readonly kind: 'file' | 'directory' }
  | { readonly type: 'changed'; readonly units: readonly Unit[] }
  | { readonly type: 'fileSynced'; readonly file: NodeId; readonly upTo: number }
  /** The sync failed: of what it was to store only `kept` got there, and the rest never will. */
  | {
      readonly type: 'fileSyncFailed'
      readonly file: NodeId
      readonly upTo: number
      readonly kept: ReadonlySet<number>
    }
  | { readonly type: 'directorySynced'; readonly directory: NodeId; readonly upTo: number }
  | { readonly type: 'allSynced'; readonly upTo: number }

/** How much of a unit a crash leaves: all, nothing, or (of a block) the first sectors. */
export type Fate = boolean | { readonly sectors: number }

/**
 * What is on the medium for good, and what is on its way there. Follows events; says what a crash may leave.
 */
export class Medium {
  readonly #files: Map<NodeId, FileData>
  readonly #directories: Map<NodeId, Entries>
  #pending: Unit[] = []
  #syncs = 0

  constructor(image: Image) {
    this.#files = new Map(image.files)
    this.#directories = new Map(image.directories)
  }

  /** Another one in the same state. */
  clone(): Medium {
    const copy = new Medium({ files: this.#files, directories: this.#directories })
    copy.#pending = [...this.#pending]
    copy.#syncs = this.#syncs
    return copy
  }

  /** What a crash may take back, in the order in which it was done. */
  get pending(): readonly Unit[] {
    return this.#pending
  }

  /** The greatest order of what is pending; 0 for nothing. */
  get lastOrder(): number {
    return this.#pending.at(-1)?.order ?? 0
  }

  /** The greatest node that was ever made. */
  get lastNode(): NodeId {
    return Math.max(rootNode, ...this.#files.keys(), ...this.#directories.keys())
  }

  /** How often something has been stored for good. */
  get syncs(): number {
    return this.#syncs
  }

  /** Bytes of a file that are on the medium. */
  stored(file: NodeId): FileData {
    return this.#files.get(file) ?? emptyFile
  }

  /** Whether a block of a file waits to be stored. */
  isDirty(file: NodeId): boolean {
    return this.#pending.some((unit) => unit.kind !== 'name' && unit.file === file)
  }

  apply(event: MediumEvent): void {
    switch (event.type) {
      case 'made':
        if (event.kind === 'file') this.#files.set(event.node, emptyFile)
        else this.#directories.set(event.node, new Map())
        break
      case 'changed':
        for (const unit of event.units) this.#pending.push(unit)
        break
      case 'fileSynced':
        this.#store((unit) => unit.kind !== 'name' && unit.file === event.file && unit.order <= event.upTo)
        break
      case 'fileSyncFailed':
        this.#store(
          (unit) => unit.kind !== 'name' && unit.file === event.file && unit.order <= event.upTo,
          event.kept,
        )
        break
      case 'directorySynced':
        this.#store(
          (unit) => unit.kind === 'name' && unit.directory === event.directory && unit.order <= event.upTo,
        )
        break
      case 'allSynced':
        this.#store((unit) => unit.order <= event.upTo)
        break
    }
  }

  /** What the medium holds after a crash that leaves of each pending unit what `fateOf` says. */
  crashed(fateOf: (unit: Unit, index: number) => Fate): Image {
    const files = new Map(this.#files)
    const directories = new Map(this.#directories)
    applyUnits(files, directories, this.#pending, fateOf)
    return reachable({ files, directories })
  }

  #store(isServed: (unit: Unit) => boolean, kept: ReadonlySet<number> | null = null): void {
    const served: Unit[] = []
    const rest: Unit[] = []
    for (const unit of this.#pending) (isServed(unit) ? served : rest).push(unit)
    if (served.length === 0) return
    this.#pending = rest
    this.#syncs++
    applyUnits(this.#files, this.#directories, served, ({ order }) => kept === null || kept.has(order))
  }
}

interface OpenFile {
  sizeBytes: number
  readonly blocks: Block[]
}

function applyUnits(
  files: Map<NodeId, FileData>,
  directories: Map<NodeId, Entries>,
  units: readonly Unit[],
  fateOf: (unit: Unit, index: number) => Fate,
): void {
  const open = new Map<NodeId, OpenFile>()
  const opened = (id: NodeId): OpenFile => {
    let file = open.get(id)
    if (file === undefined) {
      const { sizeBytes, blocks } = files.get(id) ?? emptyFile
      file = { sizeBytes, blocks: blocks.slice() }
      open.set(id, file)
    }
    return file
  }
  for (let index = 0; index < units.length; index++) {
    const unit = units[index]!
    const fate = fateOf(unit, index)
    if (fate === false) continue
    if (unit.kind === 'name') {
      applyName(directories, unit)
      continue
    }
    const file = opened(unit.file)
    if (unit.kind === 'block') {
      const before = file.blocks[unit.index] ?? null
      file.blocks[unit.index] = fate === true ? unit.content : tornBlock(before, unit.content, fate.sectors)
    } else if (unit.kind === 'grow') {
      file.sizeBytes = Math.max(file.sizeBytes, unit.sizeBytes)
    } else {
      const cut = resizeData(
        { sizeBytes: unit.sizeBytes, blocks: dense(file.blocks, unit.sizeBytes) },
        unit.sizeBytes,
      )
      file.sizeBytes = unit.sizeBytes
      file.blocks.length = 0
      file.blocks.push(...cut.blocks)
    }
  }
  for (const [id, { sizeBytes, blocks }] of open) {
    files.set(id, resizeData({ sizeBytes, blocks: dense(blocks, sizeBytes) }, sizeBytes))
  }
}

/** The blocks of a file of this size: a block that was never stored is zeros. */
function dense(blocks: readonly Block[], sizeBytes: number): Block[] {
  return Array.from({ length: blockCount(sizeBytes) }, (_, index) => blocks[index] ?? null)
}

function applyName(directories: Map<NodeId, Entries>, unit: NameUnit): void {
  if (unit.cleared !== null) {
    const entries = new Map(directories.get(unit.clearedIn))
    // A rename takes the old name away only while that still names the same node.
    if (unit.set === null || entries.get(unit.cleared) === unit.set.node) entries.delete(unit.cleared)
    directories.set(unit.clearedIn, entries)
  }
  if (unit.set !== null) {
    const entries = new Map(directories.get(unit.directory))
    entries.set(unit.set.name, unit.set.node)
    directories.set(unit.directory, entries)
  }
}

/** Leaves out what no path leads to any more. */
function reachable(image: Image): Image {
  const files = new Map<NodeId, FileData>()
  const directories = new Map<NodeId, Entries>()
  const waiting = [rootNode]
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    const entries = image.directories.get(id)
    if (entries === undefined || directories.has(id)) continue
    directories.set(id, entries)
    for (const node of entries.values()) {
      const file = image.files.get(node)
      if (file !== undefined) files.set(node, file)
      else waiting.push(node)
    }
  }
  return { files, directories }
}
