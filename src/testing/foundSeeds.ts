/** A seed of `runCluster` that once broke something, and what that was. */
export interface FoundSeed {
  readonly seed: number
  readonly found: string
}

/**
 * Seeds that found a mistake when they were drawn; they run first, forever. What a seed draws changes with what can be drawn,
 * so that a mistake which is fixed has a test of its own as well.
 */
export const foundSeeds: readonly FoundSeed[] = [
  { seed: 3, found: 'after rot a replica came back in an earlier epoch than it had told of' },
  { seed: 10, found: 'a node never opened again after its reads had failed for a while' },
  { seed: 11, found: 'a replica stayed out of use for good after files could not be opened for a moment' },
  { seed: 24, found: 'a read error that went away took a log offline for good' },
  { seed: 32, found: 'a disk went back to before its last start and voted' },
  {
    seed: 57,
    found: 'a read error while the journal was replayed was taken for rot, and votes were forgotten',
  },
  { seed: 525, found: 'a full disk took a log offline for good: two appends to a new file found no room' },
  { seed: 200229, found: 'who waited for less than the smallest step of time waited for ever' },
  {
    seed: 201122,
    found:
      'after all replicas had lost records a voter set stood behind the end of a log, and no other could follow',
  },
  {
    seed: 202866,
    found:
      'a wall clock that jumped ahead had producers forgotten, and a batch that came again was stored twice',
  },
  {
    seed: 205088,
    found:
      'the checks knew nothing of a disk of an earlier directory that came back, and missed what it had held',
  },
  {
    seed: 303773,
    found: 'what a node uses was counted with the timers that its dead processes had left in the queue',
  },
  {
    seed: 310488,
    found: 'an append that got no descriptor took its log offline for good: undoing it needed one, too',
  },
  {
    seed: 312821,
    found: 'a log whose sync had failed went offline for good when its file could not be read for a moment',
  },
  {
    seed: 311531,
    found:
      'epochs went before the records whose place a snapshot took: a crash in between left a log that nothing could open',
  },
  {
    seed: 305205,
    found:
      'mended records were of an epoch that their replica had never been in, and it ended; the checks took them for others',
  },
  {
    seed: 307787,
    found: 'segments below the start of a log stayed for good where a crash came before they were removed',
  },
  {
    seed: 307465,
    found:
      'the checks compared what lies below the start of a log on a harmed disk, where nobody reads or mends it',
  },
  { seed: 311487, found: 'the same, with flipped bits' },
  {
    seed: 307193,
    found:
      'the checks asked for an epoch that was in a journal all of whose end was damaged, of which the replica knew',
  },
  { seed: 308219, found: 'the same, with some blocks left' },
  { seed: 314934, found: 'the same, of a replica that stays out of elections for good' },
  { seed: 302039, found: 'a removed voter stopped for good: all voters had forgotten what it still had' },
  { seed: 306541, found: 'two observers stopped for good: the only voter had forgotten what they still had' },
  { seed: 309554, found: 'as 306541, of records of several groups' },
  {
    seed: 314526,
    found: 'a leader that had removed itself stopped for good: the next one had forgotten what it still had',
  },
  { seed: 315069, found: 'the checks took a start for recorded whose records never reached the hung disks' },
  {
    seed: 316538,
    found: 'the only voter led before its vote was durable, and after a crash another led the same epoch',
  },
  {
    seed: 357731,
    found: 'a flipped bit in the base offset of a batch amid a range that was read: no checksum covers it',
  },
  {
    seed: 354337,
    found:
      'the checks counted what waits for the disk while a leader was elected in the place of one that had met damage',
  },
  {
    seed: 354574,
    found: 'a full disk took a log offline for good: a sync behind was queued behind an append without room',
  },
  {
    seed: 398550,
    found: 'the checks asked for a leader where an observer on a new disk knew too small a voter set',
  },
  {
    seed: 389282,
    found:
      'a read error that went away took a log offline for good: a full segment was to be finished whose indexes had to be read',
  },
  {
    seed: 388248,
    found: 'the checks took what had become readable meanwhile for damage that nobody knew of',
  },
  { seed: 316256, found: 'as 302039, the voters lost power one after the other' },
  {
    seed: 345894,
    found:
      'a crash in the middle of a cut took what was being cut for committed, as others had committed what came in its place',
  },
  {
    seed: 349765,
    found:
      'the checks compared files while a leader took what a client had been refused since before the end',
  },
  {
    seed: 112,
    found: "a segment that had grown since a clean shutdown was taken for another log's after a crash",
  },
  {
    seed: 2122,
    found:
      'the checks wanted a leader whose voters had all forgotten and had more, but knew of a voter that was gone',
  },
  {
    seed: 186,
    found: "a node without descriptors removed the file that says whose a log's directory is, and stopped",
  },
  {
    seed: 20755,
    found:
      'under "batch" the last batch of a voter became zeros, it started without, and led before it had caught up',
  },
  {
    seed: 20488,
    found:
      'the checks took the last frame of a journal that had become idle for memory that is never given back',
  },
]
