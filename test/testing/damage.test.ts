import { describe, expect, test } from 'vitest'
import {
  type Damage,
  damages,
  filesOf,
  kindOf,
  problemsOf,
  recordForDamage,
} from '../../src/testing/crash/damage.ts'
import type { Step, Workload } from '../../src/testing/crash/workload.ts'
import { SimFileSystem } from '../../src/testing/simFileSystem.ts'

const append = (log: number, bytes: number, producer = false): readonly Step[] => [
  { do: 'append', log, bytes, producer, wait: true },
  { do: 'idle', ms: 1000 },
]

/** One log under each way to be durable, with segments, epochs, producers and deleted records; no two batches alike. */
const workload: Workload = {
  seed: 7,
  policies: ['journal', 'batch', 'append'],
  names: 'journalled',
  segmentBytes: 2000,
  steps: [
    ...append(0, 300, true),
    ...append(1, 310),
    ...append(2, 320, true),
    { do: 'epoch', log: 0 },
    ...append(0, 1500),
    ...append(0, 700, true),
    ...append(1, 910, true),
    ...append(1, 1610),
    { do: 'deleteRecords', log: 1, at: 0.5 },
    { do: 'checkpoint' },
    ...append(2, 1720),
    ...append(0, 500),
    ...append(1, 110, true),
    ...append(2, 1930),
    ...append(0, 40),
  ],
}

describe.each([
  ['closed cleanly', true],
  ['killed', false],
])('of a data directory that was %s', (_, isClosed) => {
  test.each(Object.keys(damages))(
    'any one file may be %s: a coded error or the right records, and nothing is lost without a word',
    async (what) => {
      const recording = await recordForDamage(workload, isClosed)
      const files = filesOf(recording)
      const found: string[] = []
      for (const path of files) {
        for (let seed = 0; seed < 3; seed++) {
          for (const problem of await problemsOf(recording, isClosed, { path, what, seed }))
            found.push(`${path}: ${problem}`)
        }
      }
      expect(files.length).toBeGreaterThan(20)
      expect(found).toEqual([])
    },
  )

  test('any one file may be that of another node', async () => {
    const recording = await recordForDamage(workload, isClosed)
    const elsewhere = await recordForDamage({ ...workload, seed: 8 }, isClosed)
    const other = new SimFileSystem({ image: elsewhere.finalImage })
    const found: string[] = []
    let tried = 0
    for (const path of filesOf(recording)) {
      if (other.find(path) === null) continue
      tried++
      const damage = { path, what: 'that of another node', seed: 1 }
      for (const problem of await problemsOf(recording, isClosed, damage, other.contentOf(path)))
        found.push(`${path}: ${problem}`)
    }
    expect(tried).toBeGreaterThan(20)
    expect(found).toEqual([])
  })

  test('any segment may be any other one, of whatever log', async () => {
    const recording = await recordForDamage(workload, isClosed)
    const fs = new SimFileSystem({ image: recording.finalImage })
    const segments = filesOf(recording).filter((path) => path.endsWith('.log'))
    const found: string[] = []
    for (const path of segments) {
      for (const other of segments) {
        if (other === path) continue
        const damage = { path, what: `exchanged for ${other}`, seed: 1 }
        for (const problem of await problemsOf(recording, isClosed, damage, fs.contentOf(other)))
          found.push(`${path} for ${other}: ${problem}`)
      }
    }
    expect(segments.length).toBeGreaterThan(5)
    expect(found).toEqual([])
  })
})

test('records that compaction took are not missed beside a damaged file', async () => {
  const { steps } = workload
  const compacted: Workload = {
    ...workload,
    steps: [...steps, { do: 'recycle', log: 0 }, { do: 'compact', log: 0 }],
  }
  for (const isClosed of [false, true]) {
    const recording = await recordForDamage(compacted, isClosed)
    const damage = { path: '/data/.lock', what: 'zeroed', seed: 1 }
    expect(await problemsOf(recording, isClosed, damage)).toEqual([])
  }
})

test.each([
  ['that has changed nothing', [{ do: 'roll', log: 1, wait: true }]],
  ['that has written segments again', [{ do: 'recycle', log: 1 }]],
] satisfies [string, Step[]][])(
  'after a compaction %s segments are known before the next checkpoint by time',
  async (_, steps) => {
    const compacted: Workload = {
      ...workload,
      policies: [{ records: 2 }, 'journal'],
      steps: [{ do: 'group', bytes: 100, wait: true }, ...steps, { do: 'compact', log: 1 }],
    }
    const recording = await recordForDamage(compacted, false)
    const fs = new SimFileSystem({ image: recording.finalImage })
    const other = fs.contentOf('/data/log0-0/00000000000000000000.log')
    const path = '/data/log1-0/00000000000000000000.log'
    const damage = { path, what: "another log's segment", seed: 1 }
    expect(await problemsOf(recording, false, damage, other)).toEqual([])
  },
)

test('what a log that was relaxed has in the journal since is not cut with a segment that became longer', async () => {
  const raised: Workload = {
    ...workload,
    seed: 73793945,
    policies: ['append', 'none'],
    steps: [
      { do: 'group', bytes: 100, wait: true },
      { do: 'roll', log: 1, wait: true },
      // The next append comes while what is there is still being synced, and cannot say that it is durable.
      { do: 'policy', log: 1, policy: 'journal' },
      { do: 'append', log: 1, bytes: 100, producer: false, wait: true },
      { do: 'recycle', log: 1 },
    ],
  }
  const recording = await recordForDamage(raised, false)
  const segments = filesOf(recording).filter((path) => path.endsWith('.log'))
  const found: string[] = []
  for (const path of segments)
    found.push(...(await problemsOf(recording, false, { path, what: 'longer than it was', seed: 1 })))
  expect(segments.length).toBeGreaterThan(5)
  expect(found).toEqual([])
})

const group: Step = { do: 'group', bytes: 100, wait: true }
const one = (log: number, bytes: number, producer = false, wait = true): Step => ({
  do: 'append',
  log,
  bytes,
  producer,
  wait,
})
const roll: Step = { do: 'roll', log: 1, wait: true }
/** Something that can be lost. */
const beginning = [group, one(0, 300, true), roll]

test.each<[string, Partial<Workload>, Damage]>([
  [
    'what was synced beside the journal is not cut when the append that could have said so came too early',
    {
      seed: 2179344404,
      policies: ['append', 'append'],
      steps: [
        ...beginning,
        one(1, 400, true, false),
        { do: 'policy', log: 1, policy: 'journal' },
        one(1, 400),
        { do: 'delete', log: 0 },
      ],
    },
    { path: '/data/log1-0/00000000000000000001.log', what: 'zeroed in one sector', seed: 2925495753 },
  ],
  [
    'the first checkpoint of a log that has just rolled knows its segments',
    {
      seed: 3672088069,
      policies: [{ records: 2 }, 'journal'],
      names: 'adversarial',
      segmentBytes: 6000,
      steps: [
        ...beginning,
        { do: 'policy', log: 0, policy: 'journal' },
        one(0, 400),
        { do: 'policy', log: 1, policy: 'batch' },
        one(1, 400),
        { do: 'checkpoint' },
      ],
    },
    { path: '/data/log1-0/00000000000000000000.log', what: 'another file of its kind', seed: 2229432774 },
  ],
  [
    'a log whose deletion the journal has lost does not come back into one of the same name',
    {
      seed: 640339022,
      policies: [{ intervalMs: 50 }, 'journal'],
      names: 'adversarial',
      segmentBytes: 600,
      steps: [
        ...beginning,
        { do: 'delete', log: 1 },
        { do: 'recycle', log: 0 },
        { do: 'create', policy: { bytes: 600 } },
      ],
    },
    { path: '/data/.journal/journal-00000001', what: 'flipped in a bit', seed: 3170518001 },
  ],
  [
    'a log whose creation the journal has lost is not served as far as it happens to be there',
    {
      seed: 3412658991,
      policies: ['journal', 'batch'],
      steps: [
        ...beginning,
        { do: 'policy', log: 1, policy: 'append' },
        one(1, 100),
        { do: 'retention' },
        { do: 'retention' },
      ],
    },
    { path: '/data/.journal/journal-00000001', what: 'flipped in a bit', seed: 714030810 },
  ],
  [
    'the only entry of a life that rotted away is told as what may have been',
    {
      seed: 2401606115,
      policies: ['none', { records: 2 }],
      names: 'adversarial',
      steps: [...beginning, { do: 'delete', log: 1 }, { do: 'kill' }, { do: 'create', policy: 'none' }],
    },
    { path: '/data/.journal/journal-00000002', what: 'flipped in a bit', seed: 2576438342 },
  ],
])('%s', async (_, more, damage) => {
  const recording = await recordForDamage({ ...workload, ...more }, false)
  expect(await problemsOf(recording, false, damage)).toEqual([])
})

test("what was synced of Kafka's own directory is reported, not cut, when it has rotted", async () => {
  const recording = await recordForDamage(workload, true)
  const found: string[] = []
  for (const path of filesOf(recording).filter((path) => path.endsWith('.log'))) {
    for (let seed = 0; seed < 10; seed++) {
      const damage = { path, what: 'flipped in a bit', seed, isKafkas: true }
      found.push(...(await problemsOf(recording, true, damage)).map((problem) => `${path}: ${problem}`))
    }
  }
  expect(found).toEqual([])
})

test('every kind of file that the engine keeps is among those that are damaged', async () => {
  const kinds = new Set(filesOf(await recordForDamage(workload, true)).map(kindOf))
  expect([...kinds].sort()).toEqual([
    '.cordwood_journal',
    '.kafka_cleanshutdown',
    '.lock',
    'N.index',
    'N.log',
    'N.snapshot',
    'N.timeindex',
    'checkpoint-N',
    'journal-N',
    'leader-epoch-checkpoint',
    'log-start-offset-checkpoint',
    'meta.properties',
    'partition.metadata',
    'recovery-point-offset-checkpoint',
  ])
})
