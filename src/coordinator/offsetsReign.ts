/**
 * This node's reign over one partition of `__consumer_offsets`: from the moment at which it leads the partition until somebody
 * else may. All that the coordinator needs of a partition. Once the reign is over every call rejects, or changes nothing:
 * what belongs to an older reign never gets into a newer one.
 */
export interface OffsetsReign {
  /** Names the reign: no two of one partition have the same, and later ones have larger ones. */
  readonly leaderEpoch: number
  /** The largest batch that is taken, in bytes. */
  readonly maxMessageBytes: number
  /** First offset that is there, inclusive. */
  readonly logStartOffset: number
  /**
   * Exclusive end of what earlier reigns have left, once the epoch has begun for good and all of that is committed; at once
   * where nobody else has a say. Rejects with `notLeaderOrFollower` when the reign is over.
   */
  begin(): number | Promise<number>
  /** Whole batches from the one that holds `fromOffset` on, committed and below `endOffset`: about `maxBytes`, at least one. */
  read(fromOffset: number, endOffset: number, maxBytes: number): Promise<Uint8Array>
  /** Whether `append` may be called with so many bytes now. */
  hasRoomFor(sizeBytes: number): boolean
  /**
   * Appends batches and resolves with the exclusive end of the log once they are committed: no failover takes them. Rejects
   * with `isRefusal` errors when none of them was appended; with any other nobody knows whether they will be there, and what
   * is remembered of the partition has to be read anew.
   */
  append(batches: readonly Uint8Array[]): Promise<number>
  /**
   * Resolves once it is sure that the reign went on when this was called, so that nobody has committed anything that is not known
   * here. Null where nobody else has a say. Rejects with `notLeaderOrFollower`.
   */
  confirm(): Promise<void> | null
  /** Deletes records before `offset`, which is committed, on all replicas. */
  deleteRecordsBefore(offset: number): Promise<void>
}

/** `__consumer_offsets` as this node sees it. */
export interface OffsetsTopic {
  /** How many partitions it has, or is to have. */
  readonly partitionCount: number
  /** The present reign of this node over a partition; null while another leads, nobody does, or there is no such topic. */
  reign(partition: number): OffsetsReign | null
}
