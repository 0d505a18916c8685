import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { CommitChecks } from '../../src/testing/checkCommits.ts'
import type { Violation } from '../../src/testing/checkFacts.ts'
import { type AppendCall, type EndCall, LogHistory } from '../../src/testing/history.ts'

interface Call {
  readonly kind: 'append' | 'readEnd'
  readonly begin: number
  readonly end: number
  /** Where the append is in the log, or the end that the read gave. */
  readonly place: number
  readonly isAnswered: boolean
}

/** A log of single records, the appends of `calls` in their places. */
function commitsOf(calls: readonly Call[]): CommitChecks {
  const appends = calls.filter(({ kind }) => kind === 'append').sort((a, b) => a.place - b.place)
  const committed = appends.map(({ place }) => ({
    baseOffset: place,
    lastOffset: place,
    epoch: 1,
    hash: place + 1,
    previous: null,
    isCommitted: true,
    isLost: false,
  }))
  const at = (offset: number) => committed[offset] ?? null
  return { committed, end: committed.length, at } as unknown as CommitChecks
}

/** What the history says about the calls, told in the order of their beginnings and ends. */
function verdict(calls: readonly Call[]): string | null {
  const broken: Violation[] = []
  const commits = commitsOf(calls)
  const history = new LogHistory(
    'log',
    () => commits,
    (violation) => void broken.push(violation),
  )
  const events = calls.flatMap((call, index) => [
    { at: call.begin, index, isBegin: true },
    { at: call.end, index, isBegin: false },
  ])
  const open = new Map<number, AppendCall | EndCall>()
  for (const { index, isBegin } of events.sort((a, b) => a.at - b.at)) {
    const { kind, place, isAnswered } = calls[index]!
    if (isBegin) open.set(index, kind === 'append' ? history.append([place + 1]) : history.readEnd(index))
    else if (!isAnswered) continue
    else if (kind === 'append') history.acked(open.get(index) as AppendCall, place, place)
    else history.endRead(open.get(index) as EndCall, place)
  }
  history.checkAtEnd()
  return broken[0]?.id ?? null
}

/** Tries every order that the clock allows. */
function hasOrder(calls: readonly Call[], done: readonly Call[] = [], length = 0): boolean {
  const rest = calls.filter((call) => !done.includes(call))
  // A read without an answer says nothing.
  if (rest.every((call) => call.kind === 'readEnd' && !call.isAnswered)) return true
  return rest.some((next) => {
    const isFirst = rest.every((other) => !other.isAnswered || other.end > next.begin || other === next)
    if (!isFirst) return false
    if (next.kind === 'readEnd' && !next.isAnswered) return false
    if (next.place !== length) return false
    return hasOrder(calls, [...done, next], next.kind === 'append' ? length + 1 : length)
  })
}

/** Up to six calls: appends in any places of the log, reads of any end, at any times, some without an answer. */
const histories = fc
  .record({
    order: fc.uniqueArray(fc.integer({ min: 0, max: 199 }), { minLength: 12, maxLength: 12 }),
    appends: fc.integer({ min: 1, max: 4 }),
    reads: fc.array(fc.nat(4), { maxLength: 2 }),
    answered: fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }),
  })
  .map(({ order, appends, reads, answered }) => {
    const calls: Call[] = []
    const times = (): { begin: number; end: number } => {
      const at = calls.length * 2
      return { begin: Math.min(order[at]!, order[at + 1]!), end: Math.max(order[at]!, order[at + 1]!) }
    }
    for (let place = 0; place < appends; place++) {
      calls.push({ kind: 'append', place, ...times(), isAnswered: answered[place]! })
    }
    for (const place of reads.filter((end) => end <= appends)) {
      calls.push({ kind: 'readEnd', place, ...times(), isAnswered: true })
    }
    return calls
  })

test('a history is refused exactly when no order of its calls fits the log and the clock (I23)', () => {
  let refused = 0
  let accepted = 0
  fc.assert(
    fc.property(histories, (calls) => {
      const isLinear = hasOrder(calls)
      if (isLinear) accepted++
      else refused++
      return (verdict(calls) === null) === isLinear
    }),
    { numRuns: 3000 },
  )
  expect(refused).toBeGreaterThan(200)
  expect(accepted).toBeGreaterThan(200)
})

test.each<[string, readonly [epoch: number, sequence: number][], string | null]>([
  [
    'one behind the other',
    [
      [0, 0],
      [0, 1],
      [0, 2],
    ],
    null,
  ],
  [
    'from a sequence on that is not the first',
    [
      [0, 5],
      [0, 6],
      [0, 7],
    ],
    null,
  ],
  [
    'with an epoch that begins anew',
    [
      [0, 0],
      [0, 1],
      [1, 0],
    ],
    null,
  ],
  [
    'with a gap',
    [
      [0, 0],
      [0, 1],
      [0, 3],
    ],
    'I13',
  ],
  [
    'with an epoch that does not begin at 0',
    [
      [0, 0],
      [0, 1],
      [1, 1],
    ],
    'I13',
  ],
])('batches of a producer that lie in the log %s', (_, places, expected) => {
  const broken: Violation[] = []
  const commits = commitsOf(
    places.map((__, place) => ({ kind: 'append', begin: place, end: place, place, isAnswered: false })),
  )
  const history = new LogHistory(
    'log',
    () => commits,
    (violation) => void broken.push(violation),
  )
  for (const [place, [epoch, sequence]] of places.entries()) {
    history.append([place + 1], { producer: 7, epoch, sequence })
  }
  history.checkAtEnd()
  expect(broken[0]?.id ?? null).toBe(expected)
})
