import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { EngineError } from '../../src/model/errors.ts'
import { zeroUuid } from '../../src/model/uuid.ts'
import { compareLogs, EpochHistory } from '../../src/raft/epochHistory.ts'
import { LogView } from '../../src/raft/logView.ts'
import { VoterHistory } from '../../src/raft/voterHistory.ts'
import { VoterSet } from '../../src/raft/voterSet.ts'
import { directory, voter } from './support/lone.ts'

const set = (...ids: number[]): VoterSet => new VoterSet(ids.map(voter))

describe('a voter set', () => {
  test.each([
    [1, 1],
    [2, 2],
    [3, 2],
    [4, 3],
    [5, 3],
  ])('of %i needs %i for a majority', (size, majority) => {
    expect(set(...Array.from({ length: size }, (_, i) => i)).majority).toBe(majority)
  })

  test.each([
    ['twice the same id', [1, 1]],
    ['a negative id', [-1, 2]],
    ['no number', [Number.NaN]],
    ['half a number', [1.5]],
  ])('is refused with %s', (_, ids) => {
    expect(() => set(...ids)).toThrow(EngineError)
  })

  test('takes a replica on another disk for another replica (KIP-853)', () => {
    expect(set(1, 2).has({ id: 1, directoryId: directory(1) })).toBe(true)
    expect(set(1, 2).has({ id: 1, directoryId: directory(9) })).toBe(false)
  })

  test('meets every majority of a set that differs by one voter, and no other set is let through (I17)', () => {
    const ids = fc.uniqueArray(fc.integer({ min: 1, max: 7 }), { minLength: 1 })
    fc.assert(
      fc.property(ids, ids, (a, b) => {
        const [left, right] = [set(...a), set(...b)]
        if (!left.overlaps(right)) return
        const union = [...new Set([...a, ...b])]
        expect(left.majority + right.majority).toBeGreaterThan(union.length)
      }),
    )
  })
})

describe('a static voter set', () => {
  const unknown = new VoterSet([1, 2, 3].map((id) => ({ ...voter(id), directoryId: zeroUuid })))

  test('stays the same when the directories of its voters become known', () => {
    expect(unknown.overlaps(set(1, 2, 3))).toBe(true)
    expect(set(1, 2, 3).overlaps(unknown)).toBe(true)
    expect(unknown.overlaps(set(1, 4, 5))).toBe(false)
  })
})

describe('epochs of a log', () => {
  const end = { epoch: 5, endOffset: 12, votersVersion: 0 }
  const history = new EpochHistory([
    { epoch: 2, startOffset: 3, votersVersion: 0 },
    { epoch: 3, startOffset: 8, votersVersion: 0 },
    { epoch: 5, startOffset: 8, votersVersion: 0 },
  ])

  test.each([
    [0, 0, 3],
    [1, 0, 3],
    [2, 2, 8],
    [3, 3, 8],
    [4, 3, 8],
    [5, 5, 12],
    [9, 5, 12],
  ])('the greatest epoch up to %i is %i and ends at %i', (asked, epoch, endOffset) => {
    expect(history.endOf(asked, end)).toMatchObject({ epoch, endOffset })
  })

  test('an epoch that wrote nothing stays: dropped, the log would lose against one that it beat before', () => {
    expect(history.starts.map(({ epoch }) => epoch)).toEqual([2, 3, 5])
    expect(
      compareLogs(
        { epoch: 3, endOffset: 8, votersVersion: 0 },
        { epoch: 2, endOffset: 11, votersVersion: 0 },
      ),
    ).toBeGreaterThan(0)
  })
})

describe('what is flushed', () => {
  const empty = { logStartOffset: 0, logEndOffset: 0, epochStarts: [], snapshotId: null }

  test('is claimed in the order of the writes, and never above a cut that came later', () => {
    const log = new LogView(empty, 0, false)
    log.beginEpoch({ epoch: 1, startOffset: 0, votersVersion: 0 })
    const first = log.append(5)
    log.append(9)
    log.truncate({ epoch: 1, endOffset: 3, votersVersion: 0 })
    log.flushed(first)
    expect(log.claimOffset).toBe(3)
    const last = log.append(4)
    log.flushed(last - 1)
    expect(log.claimOffset).toBe(3)
    log.flushed(last)
    expect(log.claimOffset).toBe(4)
  })

  test('needs no flush of records in a relaxed log, but one of the mark of its epoch', () => {
    const log = new LogView(empty, 0, true)
    const mark = log.markEpoch({ epoch: 1, startOffset: 0, votersVersion: 0 })
    log.append(5)
    expect(log.claimOffset).toBe(5)
    expect(log.flushedEpoch).toBe(0)
    log.flushed(mark)
    expect(log.flushedEpoch).toBe(1)
  })
})

describe('voter sets', () => {
  const to = (endOffset: number, votersVersion = 0) => ({ epoch: 1, endOffset, votersVersion })

  test('go with the records that brought them; the first one stays', () => {
    const history = new VoterHistory([{ offset: -1, version: 0, voters: set(1) }])
    history.append({ offset: 4, version: 0, voters: set(1, 2) })
    history.append({ offset: 9, version: 0, voters: set(1, 2, 3) })
    expect(history.truncate(to(9), false)).toBe(true)
    expect(history.current.size).toBe(2)
    expect(history.truncate(to(5), false)).toBe(false)
    expect(history.truncate(to(0), false)).toBe(true)
    expect(history.truncate(to(0), false)).toBe(false)
    expect(history.current.size).toBe(1)
  })

  // World seed 201122: every replica had lost its last records, and the next set could not be stored behind the one that stayed.
  test('of a partition go with their versions; one that stays is not behind the end of the log', () => {
    const history = new VoterHistory([{ offset: 0, version: 1, voters: set(1) }])
    history.append({ offset: 6, version: 2, voters: set(1, 2) })
    history.append({ offset: 9, version: 3, voters: set(1, 2, 3) })
    expect(history.truncate(to(5, 2), true)).toBe(true)
    expect(history.last).toMatchObject({ offset: 5, version: 2 })
    history.append({ offset: 5, version: 3, voters: set(1, 2, 3) })
    expect(history.truncate(to(5, 3), true)).toBe(false)
  })
})
