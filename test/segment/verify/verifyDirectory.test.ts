import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { temporaryDirectory } from '../../support/temporaryDirectory.ts'
import { append, batchOf } from '../support.ts'
import { contentsOf, fillDirectory, flip, openDirectory, verify } from './support.ts'

let intact: string
let segments: string[]

beforeAll(async () => {
  intact = mkdtempSync(join(tmpdir(), 'cordwood-test-'))
  await fillDirectory(intact)
  segments = readdirSync(`${intact}/orders-0`).filter((name) => name.endsWith('.log'))
  return () => rmSync(intact, { recursive: true })
})

/** Copies a data directory without its lock, as a crash would leave it. */
function copyTo(directory: string, from = intact): void {
  cpSync(from, directory, { recursive: true, filter: (path) => !path.includes('.lock') })
}

/** A copy that a test may damage. */
function copy(): string {
  const directory = temporaryDirectory()
  copyTo(directory)
  return directory
}

describe('verifying a data directory', () => {
  test('finds nothing in one that was closed cleanly, and changes nothing', async () => {
    const directory = copy()
    const before = contentsOf(directory)
    const { findings, summary } = await verify(directory)
    expect(findings).toEqual([])
    expect(segments.length).toBeGreaterThan(3)
    expect(summary).toMatchObject({ logs: 2, segments: segments.length, batches: 24 })
    expect(contentsOf(directory)).toEqual(before)
  })

  test('finds nothing after a crash but the torn end, which is a note', async () => {
    const directory = copy()
    const opened = await openDirectory(directory)
    await append(opened.logs.get('orders-0')!, batchOf(['late']), 5)
    await opened.checkpoint()
    const crashed = temporaryDirectory()
    copyTo(crashed, directory)
    await opened.close()
    const active = `${crashed}/orders-0/${segments.at(-1)}`
    const sizeBytes = statSync(active).size
    expect((await verify(crashed)).findings).toEqual([])
    writeFileSync(active, Buffer.alloc(100), { flag: 'a' })
    const { findings, summary } = await verify(crashed)
    expect(findings).toMatchObject([
      { kind: 'tornEnd', file: active, position: sizeBytes, end: sizeBytes + 100, baseOffset: 49 },
    ])
    expect(summary.findings).toEqual({ damage: 0, derivable: 0, unchecked: 0, note: 1 })
    expect((await verify(crashed, false)).findings).toEqual([])
  })

  test('finds nothing in a segment of which was noted only that it was empty', async () => {
    const directory = copy()
    const opened = await openDirectory(directory)
    await append(opened.logs.get('empty-0')!, batchOf(['first']))
    const crashed = temporaryDirectory()
    copyTo(crashed, directory)
    await opened.close()
    expect((await verify(crashed)).findings).toEqual([])
  })

  test('goes on after damage, and names every damaged batch by its bytes and its offsets', async () => {
    const directory = copy()
    const file = `${directory}/orders-0/${segments[1]}`
    const bytes = readFileSync(file)
    const baseOffset = Number(segments[1]!.slice(0, 20))
    const second = 12 + bytes.readInt32BE(8)
    const third = second + 12 + bytes.readInt32BE(second + 8)
    flip(file, second + 70)
    const { findings } = await verify(directory)
    expect(findings).toMatchObject([
      {
        kind: 'batches',
        file,
        position: second,
        end: third,
        baseOffset: baseOffset + 2,
        nextOffset: baseOffset + 4,
        expected: expect.stringContaining('checksum'),
      },
    ])
  })

  test('finds any flipped byte of a segment, an index or a snapshot, in that very log', async () => {
    const files = readdirSync(`${intact}/orders-0`).filter((name) =>
      /\.(log|index|timeindex|snapshot)$/.test(name),
    )
    const directory = copy()
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.nat(), fc.integer({ min: 1, max: 255 }), async (pick, at, mask) => {
        const file = `${directory}/orders-0/${files[pick % files.length]}`
        const position = at % Math.max(statSync(file).size, 1)
        if (statSync(file).size === 0) return
        flip(file, position, mask)
        const { findings } = await verify(directory)
        flip(file, position, mask)
        expect(findings.map((finding) => finding.file)).toContain(file)
      }),
      { numRuns: 300 },
    )
    expect((await verify(directory)).findings).toEqual([])
  })

  test('finds any file that was cut short or emptied, or is gone', async () => {
    const names = readdirSync(`${intact}/orders-0`).filter(
      (name) => statSync(`${intact}/orders-0/${name}`).size > 0,
    )
    expect(names.length).toBeGreaterThan(5)
    for (const name of names) {
      for (const what of ['cut', 'empty', 'gone'] as const) {
        const directory = copy()
        const file = `${directory}/orders-0/${name}`
        if (what === 'gone') rmSync(file)
        else truncateSync(file, what === 'empty' ? 0 : statSync(file).size - 1)
        const { findings } = await verify(directory)
        // A snapshot or an epoch checkpoint that is not there tells nothing.
        const isUntold = what === 'gone' && /snapshot|leader-epoch/.test(name)
        // Nobody knows how many entries a sealed segment's has; those of a small one may be none.
        const isActive = segments.at(-1)!.startsWith(name.slice(0, 20))
        const isSilent = isUntold || (what === 'empty' && name.endsWith('.index') && !isActive)
        // Without a line feed at its end a text is still whole.
        const isWhole = what === 'cut' && name === 'leader-epoch-checkpoint'
        if (!isSilent && !isWhole) expect(findings.length, `${name} ${what}`).toBeGreaterThan(0)
      }
    }
  })

  test('finds two segments that were swapped', async () => {
    const directory = copy()
    const [first, second] = [`${directory}/orders-0/${segments[0]}`, `${directory}/orders-0/${segments[1]}`]
    const bytes = readFileSync(first)
    writeFileSync(first, readFileSync(second))
    writeFileSync(second, bytes)
    const { findings } = await verify(directory)
    expect(findings.map(({ file }) => file)).toEqual(expect.arrayContaining([first, second]))
  })

  test('tells a wrong epoch checkpoint from a wrong epoch in a batch', async () => {
    const directory = copy()
    const checkpoint = `${directory}/orders-0/leader-epoch-checkpoint`
    expect(readFileSync(checkpoint, 'utf8')).toBe('0\n2\n3 0\n5 18\n')
    writeFileSync(checkpoint, '0\n2\n3 0\n5 26\n')
    expect((await verify(directory)).findings).toMatchObject([{ kind: 'epochs', file: checkpoint }])
    cpSync(`${intact}/orders-0/leader-epoch-checkpoint`, checkpoint)
    const segment = `${directory}/orders-0/${segments[0]}`
    flip(segment, 15, 0x04)
    expect((await verify(directory)).findings).toMatchObject([
      { kind: 'batches', file: segment, position: 0 },
    ])
  })

  test('finds an epoch that goes back, also where no checkpoint says which one is right', async () => {
    const directory = copy()
    rmSync(`${directory}/orders-0/leader-epoch-checkpoint`)
    const segment = `${directory}/orders-0/${segments.at(-1)}`
    const bytes = readFileSync(segment)
    const second = 12 + bytes.readInt32BE(8)
    const third = second + 12 + bytes.readInt32BE(second + 8)
    flip(segment, third + 15, 0x04)
    const { findings } = await verify(directory)
    expect(findings).toMatchObject([
      { kind: 'batches', file: segment, position: third, found: 'leader epoch 1' },
    ])
  })

  test.each([
    ['recovery-point-offset-checkpoint', '0\n1\nlost 0 6\n', 'missing'],
    ['recovery-point-offset-checkpoint', '0\n2\norders 0 48\n', 'checkpoint'],
    ['recovery-point-offset-checkpoint', 'nonsense', 'checkpoint'],
    ['log-start-offset-checkpoint', '0\n1\norders 0 x\n', 'startOffsets'],
    ['meta.properties', 'version=1\n', 'metaProperties'],
    ['orders-0/partition.metadata', 'version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA', 'topicIdFile'],
    ['orders-0/00000000000000000000.log.cleaned', '', 'leftover'],
    ['orders-0/notes.txt', 'hello', 'unknown'],
    ['notes.txt', 'hello', 'unknown'],
  ])('finds what is wrong with %s: %j', async (name, text, kind) => {
    const directory = copy()
    writeFileSync(`${directory}/${name}`, text)
    expect((await verify(directory)).findings).toContainEqual(expect.objectContaining({ kind }))
  })

  test('tells a lost topic id from one that the journal has: only without it the log is not used', async () => {
    const directory = copy()
    const file = `${directory}/orders-0/partition.metadata`
    writeFileSync(file, 'nonsense')
    expect((await verify(directory)).findings).toMatchObject([{ kind: 'topicIdFile', file }])
    rmSync(file)
    for (const judgeTails of [true, false]) {
      const { findings } = await verify(directory, judgeTails)
      expect(findings).toMatchObject([{ kind: 'topicIdFile', file, found: 'no file' }])
    }
    const opened = await openDirectory(directory)
    expect(opened.logs.get('orders-0')!.logEndOffset).toBe(48)
    await opened.close()
    const [{ expected } = { expected: '' }] = (await verify(directory)).findings
    writeFileSync(file, expected.replaceAll('"', '').replace(' and ', '\n'))
    expect((await verify(directory)).findings).toEqual([])
    rmSync(file)
    rmSync(`${directory}/.cordwood_journal`)
    rmSync(`${directory}/.journal`, { recursive: true })
    expect((await verify(directory)).findings).toContainEqual(
      expect.objectContaining({ kind: 'partitionMetadata', file }),
    )
  })
})
