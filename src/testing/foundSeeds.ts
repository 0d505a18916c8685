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
]
