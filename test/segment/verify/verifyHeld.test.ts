import { readdirSync, rmSync, truncateSync } from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { silentLogger } from '../../../src/model/logger.ts'
import { randomUuid } from '../../../src/model/uuid.ts'
import { LogDirectory } from '../../../src/segment/logDirectory.ts'
import { temporaryDirectory } from '../../support/temporaryDirectory.ts'
import { append, batchOf, crashCopy } from '../support.ts'
import { flip, runtime, smallConfig, verify } from './support.ts'

const segment = 'orders-0/00000000000000000000.log'

const config = { ...smallConfig, flush: 'journal' } as const

function openDirectory(directory: string): Promise<LogDirectory> {
  return LogDirectory.open(runtime, {
    directory,
    logger: silentLogger,
    nodeId: 1,
    configFor: () => config,
  })
}

/** A directory after a power cut: 20 acknowledged batches of one log, in the journal and not synced elsewhere. */
async function crashed(segmentBytes = 1 << 20): Promise<string> {
  const directory = temporaryDirectory()
  const opened = await openDirectory(directory)
  const log = await opened.createLog('orders', 0, randomUuid(runtime.random), { ...config, segmentBytes })
  for (let index = 0; index < 20; index++) await append(log, batchOf([`value ${index}`]))
  const copy = crashCopy(directory)
  await opened.close()
  return copy
}

/** Makes the journal's block with this number one that does not verify. The first holds the file's head. */
function rotBlock(directory: string, block: number): void {
  const file = readdirSync(`${directory}/.journal`).find((name) => name.startsWith('journal-'))!
  flip(`${directory}/.journal/${file}`, block * 4096 + 100)
}

/** What a start makes of the log: where it ends, and whether it is refused. The directory is left as a kill would leave it. */
async function started(directory: string): Promise<{ copy: string; isOffline: boolean; endOffset: number }> {
  const opened = await openDirectory(directory)
  const log = opened.logs.get('orders-0')!
  const found = { isOffline: log.offline !== null, endOffset: log.logEndOffset }
  await opened.checkpoint()
  const copy = crashCopy(directory)
  await opened.close()
  return { copy, ...found }
}

test('records that a segment has lost and the journal holds are a note: the next start takes them from there', async () => {
  const emptied = await crashed()
  truncateSync(`${emptied}/${segment}`, 0)
  const gone = await crashed()
  rmSync(`${gone}/${segment}`)
  for (const directory of [emptied, gone]) {
    const { findings, summary } = await verify(directory)
    expect(findings.filter(({ kind }) => kind !== 'journalTear')).toMatchObject([
      { kind: 'inJournal', baseOffset: 0, nextOffset: 20 },
    ])
    expect(summary.findings).toMatchObject({ damage: 0, derivable: 0 })
    expect(await started(directory)).toMatchObject({ isOffline: false, endOffset: 20 })
  }
})

test('records that a segment has lost, and a rotten frame of the journal, too, are damage, now and after every start', async () => {
  const directory = await crashed()
  truncateSync(`${directory}/${segment}`, 0)
  rotBlock(directory, 8)
  const before = await verify(directory)
  expect(before.findings).toContainEqual(expect.objectContaining({ kind: 'journalRot' }))
  expect(before.findings).toContainEqual(expect.objectContaining({ kind: 'journalLost' }))
  expect(before.findings.map(({ kind }) => kind)).not.toContain('tornEnd')
  const first = await started(directory)
  expect(first.isOffline).toBe(true)
  expect((await verify(first.copy)).summary.findings.damage).toBeGreaterThan(0)
  // Whatever has become of the frame: the log is still refused.
  expect((await verify(directory)).findings).toContainEqual(expect.objectContaining({ kind: 'journalLost' }))
  const second = await started(directory)
  expect(second.isOffline).toBe(true)
  expect((await verify(directory)).findings).toContainEqual(expect.objectContaining({ kind: 'journalLost' }))
})

test('a rotten frame whose records the segment has is damage of the journal alone', async () => {
  const directory = await crashed()
  rotBlock(directory, 8)
  const { findings } = await verify(directory)
  expect(findings.filter(({ kind }) => kind !== 'journalTear')).toMatchObject([{ kind: 'journalRot' }])
  expect(await started(directory)).toMatchObject({ isOffline: false, endOffset: 20 })
  expect((await verify(directory)).findings).toEqual([])
})

test('a journal file that is gone while the checkpoint says that it is in use is damage', async () => {
  const directory = await crashed()
  const opened = await openDirectory(directory)
  await append(opened.logs.get('orders-0')!, batchOf(['one more']))
  await opened.checkpoint()
  const before = crashCopy(directory)
  await opened.close()
  expect((await verify(before)).summary.findings.damage).toBe(0)
  for (const name of readdirSync(`${before}/.journal`)) {
    if (name.startsWith('journal-')) rmSync(`${before}/.journal/${name}`)
  }
  const { findings } = await verify(before)
  expect(findings).toContainEqual(
    expect.objectContaining({ kind: 'journalRot', file: `${before}/.journal/`, found: 'no such file' }),
  )
})

test('what is found without damage is what a start goes on with, whatever the power has taken', async () => {
  const whole = await crashed(400)
  const names = readdirSync(`${whole}/orders-0`).filter((name) => name.endsWith('.log'))
  expect(names.length).toBeGreaterThan(2)
  await fc.assert(
    fc.asyncProperty(
      fc.nat(names.length - 1),
      fc.constantFrom('gone', 'cut', 'flipped', 'whole'),
      fc.nat(300),
      fc.option(fc.integer({ min: 2, max: 24 })),
      async (pick, what, at, rotten) => {
        const directory = crashCopy(whole)
        const file = `${directory}/orders-0/${names[pick]}`
        if (what === 'gone') rmSync(file)
        if (what === 'cut') truncateSync(file, at)
        if (what === 'flipped') flip(file, at)
        if (rotten !== null) rotBlock(directory, rotten)
        const before = (await verify(directory)).summary.findings.damage
        const { copy, isOffline, endOffset } = await started(directory)
        if (rotten === null) expect(before).toBe(0)
        if (before === 0) expect({ isOffline, endOffset }).toEqual({ isOffline: false, endOffset: 20 })
        if (isOffline) expect((await verify(copy)).summary.findings.damage).toBeGreaterThan(0)
      },
    ),
    { numRuns: 20 },
  )
})
