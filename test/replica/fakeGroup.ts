import { silentLogger } from '../../src/model/logger.ts'
import { type SnapshotId, VoterSet, type VotersEntry } from '../../src/raft.ts'
import type { GroupListener } from '../../src/replica/groupTypes.ts'
import type { MachineGroup } from '../../src/replica/machineRunner.ts'
import { SnapshotFiles } from '../../src/replica/snapshotFiles.ts'
import { nodeChecksum } from '../../src/runtime/node/nodeChecksum.ts'
import { BatchHeader, setBaseOffset, setPartitionLeaderEpoch } from '../../src/segment/recordBatch.ts'
import { encodeBatch, type NewBatch } from '../../src/segment/records.ts'
import { SimClock } from '../../src/testing/simClock.ts'
import { SimDisk } from '../../src/testing/simDisk.ts'
import { SimFileSystem } from '../../src/testing/simFileSystem.ts'

/** The directory of every fake group's log. */
export const groupDirectory = '/data/machine-0'

/** A group whose log is an array and which commits what it is told to. */
export class FakeGroup implements MachineGroup {
  readonly snapshots: SnapshotFiles
  readonly log = { logStartOffset: 0 }
  readonly listeners = new Set<GroupListener>()
  batches: Uint8Array[] = []
  highWatermark = 0
  epoch = 1
  /** What `read` waits for; it gives what was there when it was called. */
  reading: Promise<void> | null = null
  cuts: { readonly id: SnapshotId; readonly logStartOffset: number }[] = []

  private constructor(snapshots: SnapshotFiles) {
    this.snapshots = snapshots
  }

  /** One over `fs`, which may have snapshots. */
  static async open(fs: SimFileSystem = new SimFileSystem()): Promise<FakeGroup> {
    const disk = new SimDisk(fs)
    await disk.makeDirectory(groupDirectory)
    const world = { disk, checksum: nodeChecksum, clock: new SimClock() }
    return new FakeGroup(await SnapshotFiles.open(world, groupDirectory, silentLogger))
  }

  get endOffset(): number {
    const last = this.batches.at(-1)
    return last === undefined ? this.log.logStartOffset : new BatchHeader(last, 0).lastOffset + 1
  }

  /** Appends a batch of these values; its base offset. */
  append(values: readonly string[], more: Partial<NewBatch> = {}): number {
    const records = values.map((value) => ({ key: null, value: Buffer.from(value), timestampMs: 1000 }))
    const bytes = encodeBatch({ records, ...more }, nodeChecksum)
    const baseOffset = this.endOffset
    setBaseOffset(bytes, baseOffset)
    setPartitionLeaderEpoch(bytes, this.epoch)
    this.batches.push(bytes)
    return baseOffset
  }

  /** Commits everything below `offset`. */
  commit(offset: number = this.endOffset): void {
    this.highWatermark = offset
    for (const listener of this.listeners) listener.highWatermark?.(offset)
  }

  async read(fromOffset: number): Promise<readonly Uint8Array[] | null> {
    const { batches, highWatermark } = this
    await this.reading
    const found = batches.filter((bytes) => {
      const { lastOffset } = new BatchHeader(bytes, 0)
      return lastOffset >= fromOffset && lastOffset < highWatermark
    })
    return found.length === 0 ? null : found.slice(0, 3)
  }

  epochBefore(): number {
    return this.epoch
  }

  votersAt(): VotersEntry {
    return { offset: -1, version: 0, voters: new VoterSet([]) }
  }

  async snapshotTaken(id: SnapshotId, logStartOffset: number): Promise<void> {
    this.cuts.push({ id, logStartOffset })
    this.cut(logStartOffset)
  }

  /** Drops whole batches below `offset`. */
  cut(offset: number): void {
    this.batches = this.batches.filter((bytes) => new BatchHeader(bytes, 0).lastOffset >= offset)
    this.log.logStartOffset = offset
  }

  /** The leader's snapshot, which lies in `snapshots`, takes the place of the log. */
  install(id: SnapshotId): void {
    this.batches = []
    this.log.logStartOffset = id.endOffset
    this.highWatermark = id.endOffset
    for (const listener of this.listeners) listener.snapshotInstalled?.(id)
    this.commit(id.endOffset)
  }

  watch(listener: GroupListener): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }
}
