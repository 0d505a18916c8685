import { describe, expect, test } from 'vitest'
import { type CallFailure, checkFailure } from '../../src/testing/crash/errorReturns.ts'
import type { Step, Workload } from '../../src/testing/crash/workload.ts'

const append = (log: number, bytes: number, wait = true): Step => {
  return { do: 'append', log, bytes, producer: false, wait }
}

describe('whichever call fails', () => {
  const failing = (kind: CallFailure['kind'], count: number, code: CallFailure['code']): CallFailure => {
    return { kind, count, until: count, code, writtenBytes: 0 }
  }

  test('a log that comes back unknown to the journal is known with its start offset from then on', async () => {
    const workload: Workload = {
      seed: 591535411,
      policies: [{ records: 2 }, 'none'],
      names: 'journalled',
      segmentBytes: 600,
      steps: [
        append(0, 100),
        { do: 'retention' },
        append(0, 10),
        { do: 'idle', ms: 60 },
        { do: 'delete', log: 0 },
        { do: 'close' },
      ],
    }
    for (let count = 8; count < 28; count++) {
      await expect(checkFailure(workload, failing('sync', count, 'EIO'))).resolves.toBeUndefined()
    }
  }, 60_000)

  test('one failed sync of a checkpoint does not leave the journal full for ever', async () => {
    const workload: Workload = {
      seed: 936483715,
      policies: [{ records: 2 }, 'batch'],
      names: 'adversarial',
      segmentBytes: 2000,
      steps: [
        { do: 'policy', log: 1, policy: 'journal' },
        append(0, 1500),
        append(0, 400),
        { do: 'deleteRecords', log: 0, at: 0.72 },
        { do: 'truncate', log: 0, at: 0.96 },
        { do: 'recycle', log: 1 },
        append(1, 400),
      ],
    }
    for (let count = 14; count < 28; count++) {
      await expect(checkFailure(workload, failing('sync', count, 'EIO'))).resolves.toBeUndefined()
    }
  }, 60_000)

  test('records that were deleted stay deleted when their log goes offline', async () => {
    const workload: Workload = {
      seed: 1611150435,
      policies: [{ records: 2 }, { records: 2 }],
      names: 'adversarial',
      segmentBytes: 6000,
      steps: [
        { do: 'recycle', log: 1 },
        { do: 'deleteRecords', log: 1, at: 0.73 },
        { do: 'group', bytes: 1500, wait: false },
        { do: 'roll', log: 0, wait: true },
        { do: 'truncate', log: 0, at: 0.8 },
      ],
    }
    for (let count = 1; count < 10; count++) {
      await expect(checkFailure(workload, failing('truncate', count, 'EIO'))).resolves.toBeUndefined()
    }
  }, 60_000)
})

test.each<[string, Workload, CallFailure]>([
  [
    'a sync that fails while the journal is full is made up for, and everything goes on',
    {
      seed: 151125940,
      policies: [{ bytes: 600 }, { intervalMs: 50 }],
      names: 'adversarial',
      segmentBytes: 2000,
      steps: [
        { do: 'append', log: 0, bytes: 300, producer: true, wait: true },
        { do: 'roll', log: 1, wait: true },
        { do: 'delete', log: 1 },
        { do: 'recycle', log: 0 },
        { do: 'policy', log: 0, policy: 'journal' },
        { do: 'recycle', log: 1 },
        { do: 'group', bytes: 400, wait: true },
      ],
    },
    { kind: 'sync', count: 101, until: 101, code: 'ENOSPC', writtenBytes: 0 },
  ],
  [
    'a segment that replay has written and that was deleted since does not keep the journal full',
    {
      seed: 4176324788,
      policies: [{ records: 2 }, 'journal'],
      names: 'journalled',
      segmentBytes: 2000,
      steps: [
        { do: 'roll', log: 1, wait: true },
        { do: 'retention' },
        { do: 'kill' },
        { do: 'recycle', log: 0 },
        { do: 'delete', log: 0 },
        { do: 'create', policy: 'none' },
      ],
    },
    { kind: 'makeDirectory', count: 3, until: 3, code: 'EIO', writtenBytes: 0 },
  ],
  [
    'appends that are undone one group after the other leave the log with the end that it says',
    {
      seed: 325735338,
      policies: [{ intervalMs: 50 }, 'none'],
      names: 'journalled',
      segmentBytes: 6000,
      steps: [
        { do: 'group', bytes: 100, wait: true },
        { do: 'roll', log: 1, wait: true },
        { do: 'close' },
        { do: 'roll', log: 0, wait: false },
        { do: 'deleteRecords', log: 0, at: 0.47 },
        { do: 'retention' },
        { do: 'idle', ms: 1 },
        { do: 'checkpoint' },
        { do: 'create', policy: 'batch' },
        { do: 'recycle', log: 1 },
        { do: 'group', bytes: 10, wait: true },
        { do: 'compact', log: 0 },
      ],
    },
    { kind: 'write', count: 89, until: 90, code: 'ENOSPC', writtenBytes: 151 },
  ],
  [
    'what a clean shutdown could not store in the files is in the journal at the next start',
    {
      seed: 1093383253,
      policies: ['journal', 'journal'],
      names: 'adversarial',
      segmentBytes: 600,
      steps: [
        { do: 'group', bytes: 100, wait: true },
        { do: 'append', log: 0, bytes: 300, producer: true, wait: true },
        { do: 'roll', log: 1, wait: true },
        { do: 'roll', log: 0, wait: false },
        { do: 'close' },
        { do: 'delete', log: 1 },
        { do: 'recycle', log: 0 },
        { do: 'kill' },
        { do: 'create', policy: { records: 2 } },
      ],
    },
    { kind: 'sync', count: 26, until: 31, code: 'ENOSPC', writtenBytes: 0 },
  ],
  [
    'what a failed journal and failed syncs left in the page cache is not believed',
    {
      seed: 605998724,
      policies: [{ records: 2 }, 'journal'],
      names: 'adversarial',
      segmentBytes: 2000,
      steps: [
        { do: 'group', bytes: 100, wait: true },
        { do: 'append', log: 0, bytes: 300, producer: true, wait: true },
        { do: 'deleteRecords', log: 0, at: 0.6 },
        { do: 'close' },
        { do: 'truncate', log: 0, at: 0.96 },
        { do: 'roll', log: 0, wait: false },
        { do: 'truncate', log: 1, at: 0.52 },
        { do: 'roll', log: 1, wait: true },
        { do: 'append', log: 0, bytes: 10, producer: true, wait: true },
        { do: 'idle', ms: 5000 },
        { do: 'close' },
        { do: 'deleteRecords', log: 0, at: 0.89 },
        { do: 'append', log: 0, bytes: 10, producer: false, wait: true },
        { do: 'append', log: 0, bytes: 10, producer: false, wait: true },
      ],
    },
    { kind: 'sync', count: 51, until: 56, code: 'ENOSPC', writtenBytes: 0 },
  ],
  [
    'recovery does not go on in a segment that was compacted',
    {
      seed: 3272340762,
      policies: ['none', 'batch'],
      names: 'journalled',
      segmentBytes: 6000,
      steps: [
        { do: 'append', log: 0, bytes: 1500, producer: true, wait: true },
        { do: 'create', policy: 'none' },
        { do: 'close' },
        { do: 'delete', log: 1 },
        { do: 'append', log: 0, bytes: 1500, producer: false, wait: true },
        { do: 'append', log: 1, bytes: 10, producer: false, wait: false },
        { do: 'checkpoint' },
        { do: 'append', log: 0, bytes: 10, producer: true, wait: true },
        { do: 'recycle', log: 0 },
        { do: 'compact', log: 0 },
      ],
    },
    { kind: 'makeDirectory', count: 4, until: 4, code: 'ENOSPC', writtenBytes: 0 },
  ],
  [
    'what the journal has behind records that are lost does not come back behind others',
    {
      seed: 2040170072,
      policies: ['append', { records: 2 }],
      names: 'adversarial',
      segmentBytes: 600,
      steps: [
        { do: 'group', bytes: 100, wait: true },
        { do: 'roll', log: 1, wait: true },
        { do: 'checkpoint' },
        { do: 'append', log: 1, bytes: 400, producer: false, wait: true },
        { do: 'recycle', log: 0 },
        { do: 'policy', log: 1, policy: 'journal' },
        { do: 'append', log: 1, bytes: 10, producer: false, wait: true },
        { do: 'policy', log: 1, policy: 'append' },
        { do: 'kill' },
        { do: 'append', log: 1, bytes: 100, producer: false, wait: true },
        { do: 'retention' },
      ],
    },
    { kind: 'sync', count: 29, until: 34, code: 'ENOSPC', writtenBytes: 0 },
  ],
  [
    'a file of the journal that got a header and could not be used does not come back before those in use',
    {
      seed: 435035280,
      policies: [{ intervalMs: 50 }, 'none'],
      names: 'journalled',
      segmentBytes: 6000,
      steps: [
        { do: 'group', bytes: 100, wait: true },
        { do: 'append', log: 0, bytes: 300, producer: true, wait: true },
        { do: 'roll', log: 1, wait: true },
        { do: 'delete', log: 0 },
        append(0, 1500),
        { do: 'create', policy: { bytes: 600 } },
        { do: 'epoch', log: 0 },
        append(1, 100),
        { do: 'policy', log: 1, policy: 'journal' },
        append(1, 1500),
        { do: 'deleteRecords', log: 0, at: 0.42 },
        { do: 'recycle', log: 0 },
        { do: 'close' },
        { do: 'close' },
        { do: 'compact', log: 0 },
        { do: 'deleteRecords', log: 1, at: 0.96 },
        { do: 'create', policy: { bytes: 600 } },
        { do: 'roll', log: 1, wait: false },
      ],
    },
    { kind: 'sync', count: 136, until: 138, code: 'ENOSPC', writtenBytes: 0 },
  ],
  [
    'a segment that is scanned again does not get the producers of a later one: a cut would take them for its own',
    {
      seed: 4017004229,
      policies: ['none', 'journal'],
      names: 'journalled',
      segmentBytes: 600,
      steps: [
        { do: 'group', bytes: 100, wait: true },
        { do: 'append', log: 0, bytes: 300, producer: true, wait: true },
        { do: 'roll', log: 1, wait: true },
        { do: 'idle', ms: 60 },
        { do: 'create', policy: 'none' },
        { do: 'epoch', log: 1 },
        { do: 'append', log: 1, bytes: 100, producer: true, wait: true },
        { do: 'recycle', log: 0 },
        { do: 'roll', log: 1, wait: false },
        { do: 'compact', log: 0 },
        { do: 'close' },
        { do: 'policy', log: 1, policy: 'batch' },
        append(1, 100),
        { do: 'create', policy: 'batch' },
        { do: 'deleteRecords', log: 1, at: 0.03 },
        { do: 'truncate', log: 0, at: 0.56 },
      ],
    },
    { kind: 'sync', count: 10, until: 10, code: 'EIO', writtenBytes: 0 },
  ],
  [
    'what was compacted of a log that could not be opened once is not forgotten meanwhile',
    {
      seed: 799078513,
      policies: ['journal', 'journal'],
      names: 'adversarial',
      segmentBytes: 6000,
      steps: [
        { do: 'group', bytes: 100, wait: true },
        { do: 'append', log: 0, bytes: 300, producer: true, wait: true },
        { do: 'roll', log: 1, wait: true },
        { do: 'epoch', log: 1 },
        { do: 'deleteRecords', log: 1, at: 0.24 },
        append(1, 10),
        append(0, 400),
        append(0, 10),
        { do: 'group', bytes: 1500, wait: false },
        { do: 'group', bytes: 10, wait: false },
        { do: 'idle', ms: 1 },
        { do: 'roll', log: 0, wait: true },
        append(1, 100, false),
        { do: 'compact', log: 0 },
        { do: 'kill' },
        { do: 'compact', log: 1 },
        { do: 'compact', log: 1 },
      ],
    },
    { kind: 'list', count: 7, until: 7, code: 'EIO', writtenBytes: 0 },
  ],
  [
    'that a log may have gaps is stored by the next compaction when it could not be by the last',
    {
      seed: 3274361692,
      policies: [{ bytes: 600 }, { intervalMs: 50 }],
      names: 'adversarial',
      segmentBytes: 2000,
      steps: [
        { do: 'group', bytes: 100, wait: true },
        { do: 'append', log: 0, bytes: 300, producer: true, wait: true },
        { do: 'roll', log: 1, wait: true },
        { do: 'group', bytes: 400, wait: false },
        append(0, 1500, false),
        { do: 'delete', log: 1 },
        { do: 'compact', log: 1 },
        { do: 'create', policy: 'journal' },
        { do: 'close' },
        { do: 'close' },
        { do: 'roll', log: 0, wait: true },
        append(0, 400),
        { do: 'deleteRecords', log: 1, at: 0.37 },
        { do: 'epoch', log: 0 },
        { do: 'compact', log: 0 },
        { do: 'compact', log: 1 },
        { do: 'compact', log: 0 },
        { do: 'roll', log: 1, wait: false },
      ],
    },
    { kind: 'sync', count: 60, until: 60, code: 'EIO', writtenBytes: 0 },
  ],
])('after a call has failed, %s', async (_, workload, failure) => {
  await expect(checkFailure(workload, failure)).resolves.toBeUndefined()
})

test('a log that could not be opened once is not taken for cleanly closed at the next start', async () => {
  const workload: Workload = {
    seed: 214704613,
    policies: [{ records: 2 }, 'append'],
    names: 'adversarial',
    segmentBytes: 600,
    steps: [
      { do: 'append', log: 0, bytes: 100, producer: false, wait: true },
      { do: 'delete', log: 1 },
      { do: 'truncate', log: 0, at: 0.91 },
      { do: 'retention' },
      { do: 'create', policy: 'append' },
      { do: 'append', log: 1, bytes: 100, producer: false, wait: true },
      { do: 'roll', log: 1, wait: true },
      { do: 'create', policy: { bytes: 600 } },
      { do: 'create', policy: 'append' },
      { do: 'kill' },
      { do: 'close' },
    ],
  }
  for (let count = 10; count < 24; count++) {
    await expect(
      checkFailure(workload, { kind: 'read', count, until: count, code: 'EIO', writtenBytes: 0 }),
    ).resolves.toBeUndefined()
  }
}, 60_000)

test('a log that was cut below its resume point still knows the leader epochs below the cut', async () => {
  const workload: Workload = {
    seed: 2006401762,
    policies: ['batch', 'none'],
    names: 'adversarial',
    segmentBytes: 2000,
    steps: [
      { do: 'append', log: 0, bytes: 300, producer: true, wait: true },
      { do: 'truncate', log: 0, at: 0.42 },
      { do: 'close' },
      { do: 'kill' },
      { do: 'group', bytes: 400, wait: false },
      { do: 'retention' },
      { do: 'append', log: 0, bytes: 100, producer: false, wait: true },
      { do: 'kill' },
      { do: 'create', policy: 'append' },
      { do: 'truncate', log: 0, at: 0.89 },
    ],
  }
  for (let count = 38; count <= 48; count++) {
    const failure: CallFailure = { kind: 'syncDirectory', count, until: count, code: 'EIO', writtenBytes: 0 }
    await expect(checkFailure(workload, failure)).resolves.toBeUndefined()
  }
})

test('a log that goes offline while it is closed is looked at by the next start', async () => {
  const workload: Workload = {
    seed: 3141381955,
    policies: ['journal', { intervalMs: 50 }],
    names: 'journalled',
    segmentBytes: 2000,
    steps: [append(0, 100), { do: 'checkpoint' }, { do: 'recycle', log: 1 }, { do: 'close' }],
  }
  // While segments are finished, some before and some while the log is closed.
  for (let count = 80; count <= 100; count++) {
    const failure: CallFailure = { kind: 'sync', count, until: count, code: 'EIO', writtenBytes: 0 }
    await expect(checkFailure(workload, failure)).resolves.toBeUndefined()
  }
})
