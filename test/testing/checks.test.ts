import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { RaftStart } from '../../src/raft/raftReplica.ts'
import { checkIdle, checkSameLogs } from '../../src/testing/checks.ts'
import { group, HandMade, votersOf } from './support/handMade.ts'

/** Does what is wrong in a group of three that has committed four records, and says which promise that breaks. */
const wrong: Readonly<Record<string, readonly [id: string, (world: HandMade) => void]>> = {
  'two replicas lead one epoch': [
    'I1',
    (world) => {
      world.vote(3, 2, [2])
      world.lead(3, 2)
      world.replica(2).quorum = { ...world.replica(2).quorum, leaderEpoch: 2 }
      world.lead(2, 2)
    },
  ],
  'a leader comes back and leads its epoch again': [
    'I1',
    (world) => {
      world.checks.stopped(1, 'kill')
      world.start(1)
      world.lead(1, 1)
    },
  ],
  'a follower has another batch at an offset of the same epoch': [
    'I2',
    (world) => {
      world.append(1)
      world.append(2, 1, 4711)
    },
  ],
  'a log has a batch of another log without what came before it': [
    'I2',
    (world) => {
      world.append(1)
      const last = world.append(1)
      world.write(2, { ...last, baseOffset: last.baseOffset })
    },
  ],
  'a log comes back with records that nobody appended': [
    'I2',
    (world) => {
      const { batches } = world.replica(2)
      world.replica(2).batches = [...batches, { ...batches[0]!, baseOffset: 4, lastOffset: 4, records: 99 }]
      world.checks.stopped(2, 'kill')
      world.start(2)
    },
  ],
  'a leader lacks a committed record': [
    'I3',
    (world) => {
      world.append(1)
      world.copy(2, 1)
      world.flush(1)
      world.flush(2)
      world.claim(2, 1)
      world.commit(1, 5)
      world.elect(3, 2, [2])
    },
  ],
  'a leader lacks an epoch without records that is committed': [
    'I3',
    (world) => {
      world.elect(2, 2, [1])
      world.copy(1, 2)
      world.flush(1)
      world.flush(2)
      world.claim(1, 2)
      world.commit(2, 4)
      world.elect(3, 3, [1])
    },
  ],
  'two replicas apply different records': [
    'I4',
    (world) => {
      world.append(1)
      world.elect(2, 2, [3])
      world.append(2)
      world.copy(3, 2)
      world.flush(2)
      world.flush(3)
      world.claim(3, 2)
      world.commit(2, 5)
      world.commit(1, 5)
    },
  ],
  'a committed record is cut': ['I5', (world) => world.truncate(2, 3, 1)],
  'the start of a committed epoch is cut': ['I5', (world) => world.truncate(2, 4, 0)],
  'a record that was durable and committed is gone after a crash': ['I5', (world) => world.crash(2, 3)],
  'a record that was durable is gone after a crash': [
    'I8',
    (world) => {
      world.append(1)
      world.flush(1)
      world.crash(1, 4)
    },
  ],
  'an append is acknowledged that is not committed': [
    'I6',
    (world) => {
      const history = world.checks.history(group)
      const call = history.append([77])
      world.append(1, 1, 77)
      history.acked(call, 4, 4)
    },
  ],
  'an append is acknowledged at the offset of another one': [
    'I6',
    (world) => {
      const history = world.checks.history(group)
      history.acked(history.append([77]), 2, 2)
    },
  ],
  'a high watermark goes back': ['I7', (world) => world.commit(2, 3)],
  'a high watermark is above the end of the log': ['I7', (world) => world.commit(2, 9)],
  'a replica comes back and takes for committed what is not': [
    'I7',
    (world) => {
      world.append(1)
      world.flush(1)
      world.checks.stopped(1, 'kill')
      world.start(1, { highWatermark: 5 })
    },
  ],
  'a client sees the end of the log go back': [
    'I7',
    (world) => {
      const history = world.checks.history(group)
      history.endRead(history.readEnd(1), 4)
      history.endRead(history.readEnd(1), 3)
    },
  ],
  'a record is committed that a majority has not flushed': [
    'I8',
    (world) => {
      world.append(1)
      world.copy(2, 1)
      world.flush(1)
      world.claim(2, 1, 5)
      world.commit(1, 5)
    },
  ],
  'a replica votes twice in an epoch': [
    'I9',
    (world) => {
      world.vote(2, 2, [3])
      world.vote(1, 2, [3])
    },
  ],
  'a replica goes back to an earlier epoch': ['I9', (world) => world.persist(2, { leaderEpoch: 0 })],
  'a replica answers with an earlier epoch': [
    'I9',
    (world) => {
      world.vote(2, 5, [])
      world.left(2, { type: 'fetch', leaderEpoch: 4, leaderId: -1 })
    },
  ],
  'a vote that was answered is forgotten by a crash': [
    'I9',
    (world) => {
      const { quorum } = world.replica(3)
      world.vote(2, 2, [3])
      world.replica(3).quorum = { ...quorum, leaderEpoch: 2 }
      world.crash(3)
    },
  ],
  'an epoch that was told of is forgotten by a crash': [
    'I9',
    (world) => {
      const { quorum } = world.replica(3)
      world.vote(3, 2, [])
      world.replica(3).quorum = quorum
      world.crash(3)
    },
  ],
  'a client reads what is not committed': [
    'I10',
    (world) => {
      world.append(1)
      world.checks.history(group).read(4, world.facts(1).slice(4))
    },
  ],
  'a replica appends an offset again': [
    'I12',
    (world) => world.write(2, { ...world.replica(2).batches[1]!, leaderEpoch: 2 }),
  ],
  'a client misses a record': [
    'I12',
    (world) => world.checks.history(group).read(0, [world.facts(1)[0]!, world.facts(1)[2]!]),
  ],
  'records are in the log twice': [
    'I13',
    (world) => {
      world.append(1, 1, world.replica(1).batches[0]!.records)
      world.copy(2, 1)
      world.flush(1)
      world.flush(2)
      world.claim(2, 1)
      world.commit(1, 5)
      world.checks.checkHistories()
    },
  ],
  'a replica leads without votes': ['I16', (world) => world.elect(3, 2, [])],
  'a quarantined replica leads': [
    'I16',
    (world) => {
      world.persist(3, { quarantine: 'forgotten' })
      world.elect(3, 2, [1, 2])
    },
  ],
  'a record is committed without the claims of a majority': [
    'I16',
    (world) => {
      world.append(1)
      world.copy(2, 1)
      world.flush(1)
      world.flush(2)
      world.commit(1, 5)
    },
  ],
  'quarantine ends before the replica has caught up': [
    'I16',
    (world) => {
      world.persist(3, { quarantine: 'forgotten' })
      world.checks.damaged(3)
      world.crash(3, 2)
      world.persist(3, { quarantine: 'none' })
    },
  ],
  'a start after damage forgets its epoch and knows of no doubt': [
    'I9',
    (world) => {
      world.checks.damaged(3)
      forget(world, 3, { mayHaveForgotten: false })
    },
  ],
  'a start forgets its epoch although the one after the damage had it': [
    'I9',
    (world) => {
      world.checks.damaged(3)
      world.crash(3)
      forget(world, 3, { mayHaveForgotten: true })
    },
  ],
  'two voters go at once': [
    'I17',
    (world) => {
      const entry = { offset: 4, version: 1, voters: votersOf([1]) }
      world.step(1, null, { type: 'votersChanged', entry })
    },
  ],
  'a second voter goes before the first change is durable': [
    'I17',
    (world) => {
      const entries = [votersOf([1, 2]), votersOf([1])].map((voters, at) => ({
        offset: 4,
        version: at + 1,
        voters,
      }))
      for (const [at, entry] of entries.entries()) {
        const mark = { offset: 4, version: entry.version, voters: entry.voters.voters }
        world.step(
          1,
          null,
          { type: 'storeVoters', sequence: 90 + at, mark },
          { type: 'votersChanged', entry },
        )
      }
    },
  ],
  'a leader loads a snapshot': [
    'I18',
    (world) =>
      world.step(1, null, { type: 'installSnapshot', sequence: 90, snapshotId: { endOffset: 4, epoch: 1 } }),
  ],
  'a snapshot holds more than is committed': [
    'I18',
    (world) =>
      world.step(2, null, { type: 'installSnapshot', sequence: 90, snapshotId: { endOffset: 7, epoch: 1 } }),
  ],
  'a log is cut behind the end of its snapshot': [
    'I18',
    (world) =>
      world.step(1, { type: 'snapshotTaken', snapshotId: { endOffset: 2, epoch: 1 }, logStartOffset: 3 }),
  ],
  'a client reads other bytes than were written': [
    'I19',
    (world) => world.checks.history(group).read(1, [{ ...world.facts(1)[1]!, hash: 12345 }]),
  ],
  'the files end before the log says that it does': [
    'I19',
    (world) => {
      world.checks.stopped(3, 'kill')
      world.replica(3).batches = world.replica(3).batches.slice(0, 2)
      world.start(3, {
        log: { logStartOffset: 0, logEndOffset: 4, epochStarts: world.replica(3).epochs, snapshotId: null },
      })
    },
  ],
  'records below a start that nobody allowed are gone': [
    'I20',
    (world) => {
      world.checks.stopped(3, 'kill')
      world.start(3, {
        log: {
          logStartOffset: 2,
          logEndOffset: 4,
          epochStarts: world.replica(3).epochs,
          snapshotId: { endOffset: 2, epoch: 1 },
        },
      })
    },
  ],
  'a read misses what was committed before it was asked': [
    'I23',
    (world) => {
      world.step(1, { type: 'readIndex', token: 'a' })
      world.step(1, null, { type: 'readReady', token: 'a', offset: 3 })
    },
  ],
  'a read does not show what was acknowledged before it': [
    'I23',
    (world) => {
      const history = world.checks.history(group)
      const call = history.append([world.facts(1)[3]!.hash])
      history.acked(call, 3, 3)
      history.endRead(history.readEnd(2), 2)
      world.checks.checkHistories()
    },
  ],
  'an append that was refused is in the log': [
    'I6',
    (world) => {
      const history = world.checks.history(group)
      history.refused(history.append([world.facts(1)[3]!.hash]))
      world.checks.checkHistories()
    },
  ],
}

describe('the checks', () => {
  test.each(Object.entries(wrong))('see that %s', (_, [id, doWrong]) => {
    const world = new HandMade()
    world.settled(4)
    expect(world.broken).toBeNull()
    doWrong(world)
    expect(world.checks.violation?.message ?? 'nothing').toMatch(new RegExp(`^${id}: `))
  })

  test('see that a relaxed replica forgets and votes on', () => {
    const world = new HandMade([1, 2, 3], true)
    world.settled(4)
    world.crash(2, 2)
    expect(world.broken).toBe('I16')
  })

  test('see logs that differ at the end, and let one begin later (I22)', () => {
    const facts = [0, 1, 2].map((at) => ({ baseOffset: at, lastOffset: at, epoch: 1, hash: at }))
    const other = [...facts.slice(0, 2), { ...facts[2]!, hash: 9 }]
    expect(() =>
      checkSameLogs(
        'g',
        new Map([
          [1, facts],
          [2, facts.slice(1)],
        ]),
      ),
    ).not.toThrow()
    expect(() =>
      checkSameLogs(
        'g',
        new Map([
          [1, facts],
          [2, other],
        ]),
      ),
    ).toThrow('I22')
    expect(() =>
      checkSameLogs(
        'g',
        new Map([
          [1, facts],
          [2, facts.slice(0, 2)],
        ]),
      ),
    ).toThrow('I22')
  })

  test('see what is still used after the load (I21)', () => {
    expect(() => checkIdle(1, { timers: 2 }, { timers: 2, files: 0 })).not.toThrow()
    expect(() => checkIdle(1, { timers: 2 }, { timers: 3 })).toThrow('I21')
  })
})

/** Node `id` dies, and comes back as if it had never heard of an epoch. */
function forget(world: HandMade, id: number, change: Partial<RaftStart>): void {
  world.checks.stopped(id, 'crash')
  world.replica(id).quorum = { ...world.replica(id).quorum, leaderEpoch: 0, leaderId: -1, voted: null }
  world.start(id, change)
}

describe('the checks accept', () => {
  test('a vote that never left and is forgotten', () => {
    const world = new HandMade()
    world.settled(2)
    const { quorum } = world.replica(3)
    world.persist(3, { leaderEpoch: 2, voted: null, leaderId: -1 })
    world.replica(3).quorum = quorum
    world.crash(3)
    expect(world.broken).toBeNull()
  })

  test('an epoch that was in a journal all of whose end is damaged: nothing tells it from a torn one', () => {
    const world = new HandMade()
    world.settled(2)
    world.checks.damaged(3)
    forget(world, 3, { mayHaveForgotten: true })
    expect(world.broken).toBeNull()
  })

  test('records that were committed in the place of damaged ones that were not', () => {
    const world = new HandMade()
    world.settled(2)
    world.append(1)
    world.copy(3, 1)
    world.flush(3)
    world.elect(2, 2, [1])
    world.append(2)
    world.copy(1, 2)
    for (const id of [1, 2]) world.flush(id)
    world.claim(1, 2)
    world.commit(2, 3)
    world.checks.damaged(3)
    world.checks.stopped(3, 'crash')
    const { batches, epochs } = world.replica(2)
    const { quorum } = world.replica(3)
    Object.assign(world.replica(3), { batches, epochs, quorum: { ...quorum, leaderEpoch: 2, leaderId: 2 } })
    world.start(3)
    world.append(2)
    world.copy(3, 2)
    expect(world.broken).toBeNull()
  })

  test('what a leader had not flushed is lost and written anew by the next one', () => {
    const world = new HandMade()
    world.settled(2)
    world.append(1, 3)
    world.crash(1)
    world.elect(2, 2, [3])
    world.append(2, 2)
    world.copy(1, 2)
    world.copy(3, 2)
    for (const id of [1, 2, 3]) world.flush(id)
    world.claim(1, 2)
    world.claim(3, 2)
    for (const id of [2, 1, 3]) world.commit(id, 4)
    expect(world.broken).toBeNull()
  })

  test('whatever a group does that follows the rules', () => {
    const moves = fc.array(
      fc.record({
        what: fc.constantFrom('append', 'copy', 'flush', 'claim', 'commit', 'elect', 'crash', 'follow'),
        node: fc.integer({ min: 1, max: 3 }),
        count: fc.integer({ min: 1, max: 3 }),
      }),
      { maxLength: 60 },
    )
    fc.assert(fc.property(moves, (steps) => followRules(steps) === null))
  })
})

interface Move {
  readonly what: string
  readonly node: number
  readonly count: number
}

/** Carries out what the rules allow at that moment, and leaves the rest out; what was broken. */
function followRules(moves: readonly Move[]): string | null {
  const world = new HandMade()
  world.settled(2)
  const history = world.checks.history(group)
  let leader = 1
  let epoch = 1
  const isUp = (id: number): boolean => world.replica(id).quorum.leaderEpoch === epoch
  const longest = (id: number): number => (world.replica(id).epochs.at(-1)?.epoch ?? 0) * 1000 + world.end(id)
  for (const { what, node, count } of moves) {
    const isLeading = leader !== 0 && isUp(leader)
    if (what === 'append' && isLeading) world.append(leader, count)
    else if (what === 'follow' && isLeading) world.persist(node, { leaderEpoch: epoch, leaderId: leader })
    else if (what === 'copy' && isLeading && node !== leader && isUp(node)) world.copy(node, leader)
    else if (what === 'flush') world.flush(node)
    else if (what === 'claim' && isLeading && node !== leader && isUp(node)) {
      if (world.replica(node).epochs.at(-1)?.epoch === epoch) world.claim(node, leader)
    } else if (what === 'commit' && isLeading) commitWhatMay(world, leader, epoch)
    else if (what === 'crash') {
      if (node === leader) leader = 0
      world.crash(node)
    } else if (what === 'elect') {
      const voters = [1, 2, 3].filter((id) => id !== node && longest(id) <= longest(node))
      if (voters.length === 0) continue
      epoch++
      leader = node
      world.elect(node, epoch, voters)
      const call = history.readEnd(node)
      history.endRead(call, world.checks.group(group).commits.end)
    }
    if (world.broken !== null) return world.checks.violation!.message
  }
  world.checks.checkHistories()
  return world.checks.violation?.message ?? null
}

/** The leader commits what two of three have flushed in its epoch, as far as they have told it. */
function commitWhatMay(world: HandMade, leader: number, epoch: number): void {
  const checked = world.checks.group(group).replica(leader)!
  const start = world.replica(leader).epochs.at(-1)!
  if (start.epoch !== epoch || checked.durableEpoch !== epoch) return
  const claims = [checked.durableEnd, ...checked.claims.values()].sort((a, b) => b - a)
  const most = claims[1]
  if (most === undefined || most < Math.max(start.startOffset, checked.highWatermark)) return
  world.commit(leader, most)
}

test('a disk may go back to before a start only once all others have told that they have recorded it', () => {
  const world = new HandMade()
  const seen = { ...votersOf([1]).voters[0]!, incarnation: 1, startNonce: 7, earlierNonces: [] }
  world.persist(1, { incarnation: 1 })
  for (const id of [2, 3]) world.persist(id, { incarnations: [seen] })
  // What is on its way to a disk may be lost with the process.
  expect(world.checks.mayGoBack(1)).toBe(false)
  const answer = { type: 'vote', voteGranted: true, quarantined: false, leaderEpoch: 1, leaderId: -1 }
  world.left(2, { ...answer, recorded: seen })
  expect(world.checks.mayGoBack(1)).toBe(false)
  world.left(3, { ...answer, recorded: seen })
  expect(world.checks.mayGoBack(1)).toBe(true)
  expect(world.broken).toBe(null)
})

test.each([
  ['may come back with them and drop them once that was told', true],
  ['may drop none of them before that', false],
])('who was away when others forgot records %s', (_, isTold) => {
  const world = new HandMade([1, 2, 3], true)
  world.settled(2)
  world.checks.stopped(3, 'kill')
  world.persist(2, { quarantine: 'forgotten' })
  world.crash(2, 0)
  if (isTold) world.step(2, null, { type: 'alarm', code: 'possibleLoss', id: 2, offset: 0, detail: '' })
  expect(world.checks.group(group).commits.end).toBe(isTold ? 0 : 2)
  world.start(3, { highWatermark: 2 })
  expect(world.broken).toBe(null)
  world.truncate(3, 0, 1)
  expect(world.broken).toBe(isTold ? null : 'I5')
})
