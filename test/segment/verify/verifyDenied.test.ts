import { readdirSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { lockOrExplain } from '../../../src/cli/verify.ts'
import { EngineError } from '../../../src/model/errors.ts'
import { inlineCompute } from '../../../src/runtime/compute.ts'
import type { Disk } from '../../../src/runtime/disk.ts'
import { tasks } from '../../../src/segment/tasks.ts'
import { verifyDirectory } from '../../../src/segment/verifyDirectory.ts'
import type { Finding } from '../../../src/segment/verifyFindings.ts'
import { batchCodecs } from '../../../src/zerocopy/codecs.ts'
import { temporaryDirectory } from '../../support/temporaryDirectory.ts'
import { fillDirectory, runtime } from './support.ts'

/** A disk whose user may not read what `isDenied` names: tests may run as one who may read everything. */
function disk(isDenied: (path: string) => boolean): Disk {
  const refused = (path: string): Promise<never> =>
    Promise.reject(new EngineError('permissionDenied', `cannot read ${path}: permission denied (EACCES)`))
  return new Proxy(runtime.disk, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      return (path: string, ...rest: unknown[]): unknown => {
        const isReading = name === 'readFile' || name === 'list'
        if (isReading && isDenied(path)) return refused(path)
        const result: unknown = value.call(target, path, ...rest)
        if (name !== 'file' || !isDenied(path)) return result
        return Object.assign(Object.create(result as object), {
          size: () => refused(path),
          read: () => refused(path),
          close: () => Promise.resolve(),
        })
      }
    },
  })
}

/** What is found of a directory in which this user may not read what has one of these ends. */
async function verifyWithout(
  directory: string,
  ends: readonly string[],
): Promise<{ findings: Finding[]; counts: object; batches: number }> {
  const denying = disk((path) => ends.some((end) => path.endsWith(end)))
  const compute = inlineCompute(tasks, { disk: denying, checksum: runtime.checksum, codecs: batchCodecs })
  const findings: Finding[] = []
  const { findings: counts, batches } = await verifyDirectory(
    { ...runtime, disk: denying, compute },
    directory,
    {
      judgeTails: true,
      finding: (finding) => findings.push(finding),
    },
  )
  return { findings, counts, batches }
}

test('what this user may not read is not checked, and no damage; everything else is checked', async () => {
  const directory = temporaryDirectory()
  await fillDirectory(directory)
  const segments = readdirSync(`${directory}/orders-0`).filter((name) => name.endsWith('.log'))
  const segment = await verifyWithout(directory, [segments[1]!])
  expect(segment.findings).toMatchObject([{ kind: 'denied', file: `${directory}/orders-0/${segments[1]}` }])
  expect(segment.findings[0]!.found).toContain('permission denied')
  expect(segment.counts).toEqual({ damage: 0, derivable: 0, unchecked: 1, note: 0 })
  expect(segment.batches).toBeGreaterThan(15)
  for (const [name, file] of [
    ['/orders-0', 'orders-0/'],
    ['orders-0/partition.metadata', 'orders-0/'],
    ['/meta.properties', 'meta.properties'],
    ['/log-start-offset-checkpoint', 'log-start-offset-checkpoint'],
    ['/recovery-point-offset-checkpoint', 'recovery-point-offset-checkpoint'],
    ['/.cordwood_journal', '.cordwood_journal'],
    ['/.journal', '.journal/'],
    ['/.journal/checkpoint-0', '.journal/'],
  ] as const) {
    const { findings, counts } = await verifyWithout(directory, [name])
    expect(findings, name).toMatchObject([{ kind: 'denied', file: `${directory}/${file}` }])
    expect(counts).toEqual({ damage: 0, derivable: 0, unchecked: 1, note: 0 })
  }
})

test('damage is found beside what this user may not read', async () => {
  const directory = temporaryDirectory()
  await fillDirectory(directory)
  writeFileSync(`${directory}/meta.properties`, 'nonsense')
  const { counts } = await verifyWithout(directory, ['/empty-0'])
  expect(counts).toMatchObject({ damage: 1, unchecked: 1 })
})

test('a directory in which this user may not write is said to be checked with --no-lock', async () => {
  const refused = new EngineError('permissionDenied', '/data is not writable; name another directory')
  const locking = lockOrExplain('/data', () => Promise.reject(refused))
  await expect(locking).rejects.toThrow(
    /^\/data cannot be locked, .* as the owner of the files, or use --no-lock/,
  )
})
