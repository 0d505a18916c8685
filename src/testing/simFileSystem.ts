import type { FileStat } from '../runtime/disk.ts'
import { BadSectors, type SectorFate } from './badSectors.ts'
import {
  type Block,
  blockBytes,
  emptyFile,
  type FileData,
  readData,
  resizeData,
  wholeFile,
  writeData,
} from './fileData.ts'
import {
  type Entries,
  emptyImage,
  type Image,
  Medium,
  type MediumEvent,
  type NameUnit,
  type NodeId,
  rootNode,
  type Unit,
} from './medium.ts'

/** The system's errors, by the names that Node gives them. */
export type SystemCode = 'ENOENT' | 'ENOTDIR' | 'EEXIST' | 'EISDIR' | 'ENOSPC' | 'EIO' | 'EMFILE' | 'EINTR'

/** An error as the system reports it. */
export class SystemError extends Error {
  readonly code: SystemCode

  constructor(code: SystemCode) {
    super(code)
    this.code = code
  }
}

/** How a `SimFileSystem` is to be. */
export interface SimFileSystemOptions {
  /** What is stored at first; nothing by default. */
  readonly image?: Image
  /** What is stored at first and what waits for it: programs see all of it, a crash may take the rest. */
  readonly medium?: Medium
  /** Told of everything that moves towards the medium. */
  readonly onEvent?: (event: MediumEvent) => void
  /** The time that changed files get. */
  readonly wallMs?: () => number
  /** Bytes that files may take; without bound by default. */
  readonly capacityBytes?: number
  /** What `Disk.mountOf` says of it: another one after each start of the machine. */
  readonly mount?: string
  /** What of `image` cannot be read; nothing by default. */
  readonly badSectors?: BadSectors
}

/**
 * The part of an operating system that files are kept in: what programs see is the page cache, a crash leaves what
 * the medium has. Everything happens at once; who calls decides when. Throws `SystemError`.
 */
export class SimFileSystem {
  /** Bytes that files may take. */
  capacityBytes: number
  /** What `Disk.mountOf` says; null when it is not known. */
  readonly mount: string | null
  /** Syncs return as if they had stored something, and have not. */
  isLying = false
  /** What cannot be read. */
  readonly badSectors: BadSectors
  /** Who holds which lock; gone with the process, which is to say: the owner's `SimDisk`. */
  readonly locks = new Map<string, { readonly holder: object; readonly owner: string }>()
  readonly #files: Map<NodeId, FileData>
  readonly #directories: Map<NodeId, Entries>
  readonly #medium: Medium
  readonly #onEvent: ((event: MediumEvent) => void) | undefined
  readonly #wallMs: () => number
  readonly #sealed = new Set<NodeId>()
  readonly #changedMs = new Map<NodeId, number>()
  /** What paths name, until a name changes. */
  readonly #found = new Map<string, NodeId>()
  #nextNode: NodeId
  #order = 0

  constructor(options: SimFileSystemOptions = {}) {
    const image = options.medium?.crashed(() => true) ?? options.image ?? emptyImage
    this.#files = new Map(image.files)
    this.#directories = new Map(image.directories)
    this.#medium = options.medium ?? new Medium(image)
    this.#onEvent = options.onEvent
    this.#wallMs = options.wallMs ?? (() => 0)
    this.mount = options.mount ?? null
    this.badSectors = options.badSectors ?? new BadSectors()
    this.capacityBytes = options.capacityBytes ?? Number.POSITIVE_INFINITY
    let last = rootNode
    for (const id of [...this.#files.keys(), ...this.#directories.keys()]) last = Math.max(last, id)
    this.#nextNode = Math.max(last, this.#medium.lastNode) + 1
    this.#order = this.#medium.lastOrder
  }

  /** What is stored and what may be lost. */
  get medium(): Medium {
    return this.#medium
  }

  /** What programs see now. */
  get image(): Image {
    return { files: new Map(this.#files), directories: new Map(this.#directories) }
  }

  /** Bytes of all files, in whole blocks. */
  get usedBytes(): number {
    let blocks = 0
    for (const file of this.#files.values()) for (const block of file.blocks) if (block !== null) blocks++
    return blocks * blockBytes
  }

  /** The node that `path` names; null when there is none. Throws `ENOTDIR` below a file. */
  find(path: string): NodeId | null {
    const known = this.#found.get(path)
    if (known !== undefined) return known
    const node = this.#look(path)
    if (node !== null) this.#found.set(path, node)
    return node
  }

  #look(path: string): NodeId | null {
    let node = rootNode
    for (const name of path.split('/')) {
      if (name === '') continue
      const entries = this.#directories.get(node)
      if (entries === undefined) throw new SystemError('ENOTDIR')
      const next = entries.get(name)
      if (next === undefined) return null
      node = next
    }
    return node
  }

  /** The file that `path` names. */
  fileAt(path: string): NodeId {
    const node = this.find(path)
    if (node === null) throw new SystemError('ENOENT')
    if (!this.#files.has(node)) throw new SystemError('EISDIR')
    return node
  }

  /** The directory that `path` names. */
  directoryAt(path: string): NodeId {
    const node = this.find(path)
    if (node === null) throw new SystemError('ENOENT')
    if (!this.#directories.has(node)) throw new SystemError('ENOTDIR')
    return node
  }

  stat(path: string): FileStat | null {
    let node: NodeId | null = null
    try {
      node = this.find(path)
    } catch {}
    if (node === null) return null
    const modifiedMs = this.#changedMs.get(node) ?? this.#wallMs()
    const file = this.#files.get(node)
    return { kind: file ? 'file' : 'directory', sizeBytes: file?.sizeBytes ?? blockBytes, modifiedMs }
  }

  /** The names in a directory, sorted. */
  list(path: string): { readonly name: string; readonly kind: 'file' | 'directory' }[] {
    const entries = this.#directories.get(this.directoryAt(path))!
    return [...entries]
      .map(([name, node]) => ({
        name,
        kind: this.#files.has(node) ? ('file' as const) : ('directory' as const),
      }))
      .sort((left, right) => (left.name < right.name ? -1 : 1))
  }

  /** Makes a file if there is none, and returns it. */
  open(path: string): NodeId {
    const { directory, name } = this.#place(path)
    const found = this.#directories.get(directory)!.get(name)
    if (found !== undefined) return this.fileAt(path)
    const node = this.#make('file')
    this.#rename(directory, { name, node }, null, directory)
    return node
  }

  /** Throws `EIO` for what the disk cannot read. */
  read(file: NodeId, target: Uint8Array, position: number): number {
    const data = this.data(file)
    const end = Math.min(position + target.length, data.sizeBytes)
    if (this.badSectors.has(file, position, end, this.#medium.pending)) throw new SystemError('EIO')
    return readData(data, target, position)
  }

  /** From now on a stretch of the file at `path` cannot be read: until it is written, or whatever happens. */
  failReads(path: string, position: number, end: number, fate: SectorFate = 'remapped'): void {
    this.badSectors.add(this.fileAt(path), position, end, fate)
  }

  /** What programs see of a file. */
  data(file: NodeId): FileData {
    const data = this.#files.get(file)
    if (data === undefined) throw new SystemError('ENOENT')
    return data
  }

  /** All bytes of the file at `path`. */
  contentOf(path: string): Uint8Array {
    return wholeFile(this.data(this.fileAt(path)))
  }

  /** Whether a stretch of the file at `path` has blocks that were never written. */
  hasHoles(path: string, position: number, length: number): boolean {
    const { blocks } = this.data(this.fileAt(path))
    const end = Math.ceil((position + length) / blockBytes)
    for (let index = Math.floor(position / blockBytes); index < end; index++) {
      if ((blocks[index] ?? null) === null) return true
    }
    return false
  }

  write(file: NodeId, position: number, bytes: Uint8Array): void {
    const before = this.data(file)
    const after = writeData(before, position, bytes)
    if (after === before) return
    if (this.capacityBytes !== Number.POSITIVE_INFINITY) this.#checkRoom(before, after)
    if (!this.badSectors.isEmpty) this.#checkEdges(file, position, position + bytes.length, before.sizeBytes)
    const units: Unit[] = []
    for (
      let index = Math.floor(position / blockBytes);
      index * blockBytes < position + bytes.length;
      index++
    ) {
      units.push({ kind: 'block', order: ++this.#order, file, index, content: after.blocks[index]! })
    }
    if (after.sizeBytes > before.sizeBytes) {
      units.push({ kind: 'grow', order: ++this.#order, file, sizeBytes: after.sizeBytes })
    }
    this.#change(file, after, units)
  }

  truncate(file: NodeId, sizeBytes: number): void {
    const before = this.data(file)
    if (before.sizeBytes === sizeBytes) return
    this.badSectors.cut(file, sizeBytes)
    const unit: Unit = { kind: 'truncate', order: ++this.#order, file, sizeBytes }
    this.#change(file, resizeData(before, sizeBytes), [unit])
  }

  makeDirectory(path: string): void {
    const { directory, name } = this.#place(path)
    if (this.#sealed.has(directory)) throw new SystemError('ENOENT')
    if (this.#directories.get(directory)!.has(name)) throw new SystemError('EEXIST')
    this.#rename(directory, { name, node: this.#make('directory') }, null, directory)
  }

  rename(from: string, to: string): void {
    const node = this.find(from)
    if (node === null) throw new SystemError('ENOENT')
    const [source, target] = [this.#place(from), this.#place(to)]
    if (source.directory === target.directory && source.name === target.name) return
    this.#rename(target.directory, { name: target.name, node }, source.name, source.directory)
  }

  /** Takes one name away; a directory has to be empty. */
  unlink(path: string): void {
    const { directory, name } = this.#place(path)
    if (!this.#directories.get(directory)!.has(name)) throw new SystemError('ENOENT')
    this.#rename(directory, null, name, directory)
  }

  /** From now on nothing can be made in the directory at `path`, as below /proc. */
  sealDirectory(path: string): void {
    this.#sealed.add(this.directoryAt(path))
  }

  /** Begins a sync of a file; what is done from now on is not part of it. */
  beginSync(): number {
    return this.#order
  }

  /** Ends a sync of a file that began at `upTo`. */
  syncFile(file: NodeId, upTo: number): void {
    if (!this.isLying) this.badSectors.synced(file, upTo, this.#medium.pending)
    this.#tell({ type: 'fileSynced', file, upTo })
  }

  /** A sync of a file fails: of its blocks `isKept` says which got to the medium; the cache stays and is clean. */
  failSync(file: NodeId, upTo: number, isKept: () => boolean): void {
    const kept = new Set<number>()
    for (const unit of this.#medium.pending) {
      if (unit.kind !== 'name' && unit.file === file && (unit.kind !== 'block' || isKept()))
        kept.add(unit.order)
    }
    this.#tell({ type: 'fileSyncFailed', file, upTo, kept })
  }

  syncDirectory(directory: NodeId, upTo: number): void {
    this.#tell({ type: 'directorySynced', directory, upTo })
  }

  syncAll(upTo: number): void {
    if (!this.isLying) this.badSectors.synced(null, upTo, this.#medium.pending)
    this.#tell({ type: 'allSynced', upTo })
  }

  /** Later reads of a file show what the medium has; what is not stored yet stays cached. */
  dropCached(file: NodeId): void {
    const cached = this.data(file)
    const stored = this.#medium.stored(file)
    const dirty = new Set<number>()
    for (const unit of this.#medium.pending) {
      if (unit.kind === 'block' && unit.file === file) dirty.add(unit.index)
    }
    const blocks = cached.blocks.map((block, index) =>
      dirty.has(index) ? block : (stored.blocks[index] ?? null),
    )
    this.#files.set(file, resizeData({ sizeBytes: cached.sizeBytes, blocks }, cached.sizeBytes))
  }

  /** Changes the bytes of a file on the medium and in the cache alike, as rot does: nobody is told. */
  damage(path: string, change: (bytes: Uint8Array) => Uint8Array): void {
    const file = this.fileAt(path)
    const bytes = change(wholeFile(this.data(file)))
    this.truncate(file, 0)
    this.write(file, 0, bytes)
    this.syncFile(file, this.#order)
  }

  #place(path: string): { directory: NodeId; name: string } {
    const at = path.lastIndexOf('/')
    return { directory: this.directoryAt(path.slice(0, at)), name: path.slice(at + 1) }
  }

  #make(kind: 'file' | 'directory'): NodeId {
    const node = this.#nextNode++
    if (kind === 'file') this.#files.set(node, emptyFile)
    else this.#directories.set(node, new Map())
    this.#changedMs.set(node, this.#wallMs())
    this.#tell({ type: 'made', node, kind })
    return node
  }

  #rename(directory: NodeId, set: NameUnit['set'], cleared: string | null, clearedIn: NodeId): void {
    this.#found.clear()
    if (cleared !== null) {
      const entries = new Map(this.#directories.get(clearedIn))
      if (set === null) this.#forget(entries.get(cleared))
      entries.delete(cleared)
      this.#directories.set(clearedIn, entries)
    }
    if (set !== null) {
      const entries = new Map(this.#directories.get(directory))
      this.#forget(entries.get(set.name))
      entries.set(set.name, set.node)
      this.#directories.set(directory, entries)
    }
    this.#tell({
      type: 'changed',
      units: [{ kind: 'name', order: ++this.#order, directory, set, cleared, clearedIn }],
    })
  }

  /** Nobody can see the node any more; a crash may still bring it back from the medium. */
  #forget(node: NodeId | undefined): void {
    if (node === undefined) return
    this.badSectors.cut(node)
    this.#files.delete(node)
    this.#directories.delete(node)
    this.#changedMs.delete(node)
  }

  #change(file: NodeId, data: FileData, units: readonly Unit[]): void {
    this.#files.set(file, data)
    this.#changedMs.set(file, this.#wallMs())
    this.#tell({ type: 'changed', units })
  }

  #tell(event: MediumEvent): void {
    if (this.isLying && event.type.endsWith('Synced')) return
    this.#medium.apply(event)
    this.#onEvent?.(event)
  }

  /** Of a block that is not written as a whole the system reads the rest first. */
  #checkEdges(file: NodeId, position: number, end: number, sizeBytes: number): void {
    const { pending } = this.#medium
    const first = position - (position % blockBytes)
    const last = end - (end % blockBytes)
    const isHalf = (block: number): boolean =>
      block < sizeBytes && this.badSectors.has(file, block, block + 1, pending)
    if ((first < position && isHalf(first)) || (last < end && end < sizeBytes && isHalf(last)))
      throw new SystemError('EIO')
  }

  #checkRoom(before: FileData, after: FileData): void {
    const used = (blocks: readonly Block[]): number => blocks.reduce((sum, block) => sum + (block ? 1 : 0), 0)
    const more = (used(after.blocks) - used(before.blocks)) * blockBytes
    if (more > 0 && this.usedBytes + more > this.capacityBytes) throw new SystemError('ENOSPC')
  }
}
