import { cpSync, existsSync, readdirSync, rmSync, statSync } from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { randomUuid } from '../../../src/model/uuid.ts'
import { temporaryDirectory } from '../../support/temporaryDirectory.ts'
import { append, batchOf, crashCopy } from '../support.ts'
import { contentsOf, fillDirectory, flip, openDirectory, runtime, smallConfig, verify } from './support.ts'

/** A directory after a crash: one log whose appends are in the journal, and not synced elsewhere. */
async function crashed(appends: number): Promise<string> {
  const directory = temporaryDirectory()
  const opened = await openDirectory(directory)
  const config = { ...smallConfig, segmentBytes: 1 << 20, flush: 'journal' } as const
  const log = await opened.createLog('orders', 0, randomUuid(runtime.random), config)
  for (let index = 0; index < appends; index++) await append(log, batchOf([`value ${index}`]))
  const copy = crashCopy(directory)
  await opened.close()
  return copy
}

test('a journal that is as a kill left it is no finding, and is not changed', async () => {
  const directory = await crashed(20)
  const before = contentsOf(directory)
  const { findings } = await verify(directory)
  expect(findings.filter(({ kind }) => kind !== 'journalTear')).toEqual([])
  expect(contentsOf(directory)).toEqual(before)
  const opened = await openDirectory(directory)
  expect(opened.logs.get('orders-0')!.logEndOffset).toBe(20)
  await opened.close()
})

test('what only the journal has durably may look any way in the segment', async () => {
  const directory = await crashed(20)
  flip(`${directory}/orders-0/00000000000000000000.log`, 75)
  const { findings, summary } = await verify(directory)
  expect(findings).toContainEqual(
    expect.objectContaining({ kind: 'inJournal', baseOffset: 1, nextOffset: 2 }),
  )
  expect(summary.findings).toMatchObject({ damage: 0, derivable: 0 })
})

test('a frame that was durable and does not verify is rot, with its file and byte', async () => {
  const directory = await crashed(20)
  const journal = `${directory}/.journal`
  const file = readdirSync(journal).find((name) => name.startsWith('journal-'))!
  // The first blocks hold the file's header and the first frames; many are behind them.
  flip(`${journal}/${file}`, 3 * 4096 + 100)
  const { findings } = await verify(directory)
  expect(findings).toContainEqual(
    expect.objectContaining({ kind: 'journalRot', file: `${journal}/${file}`, position: 3 * 4096 }),
  )
})

test('one copy of the checkpoint may be damaged, both may not', async () => {
  const directory = temporaryDirectory()
  await fillDirectory(directory)
  const copies = ['checkpoint-0', 'checkpoint-1'].map((name) => `${directory}/.journal/${name}`)
  flip(copies[0]!, 60)
  expect((await verify(directory)).findings).toMatchObject([{ kind: 'journalCheckpoint', file: copies[0] }])
  flip(copies[1]!, 60)
  const { findings } = await verify(directory)
  expect(findings).toMatchObject([{ kind: 'journalForeign', found: `none: ${copies.join(' and ')} damaged` }])
})

test('a journal that is gone, or of another directory, is damage', async () => {
  const directory = temporaryDirectory()
  await fillDirectory(directory)
  const other = await crashed(1)
  const gone = crashCopy(directory)
  rmSync(`${gone}/.journal`, { recursive: true })
  expect((await verify(gone)).findings).toMatchObject([{ kind: 'journalForeign' }])
  expect(existsSync(`${gone}/.journal`)).toBe(false)
  cpSync(`${other}/.journal`, `${gone}/.journal`, { recursive: true })
  expect((await verify(gone)).findings).toContainEqual(expect.objectContaining({ kind: 'journalForeign' }))
})

test('whatever byte of a journal is damaged, it is reported or harmless, and never an exception', async () => {
  const directory = await crashed(12)
  const names = readdirSync(`${directory}/.journal`)
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.nat(), fc.integer({ min: 1, max: 255 }), async (pick, at, mask) => {
      const file = `${directory}/.journal/${names[pick % names.length]}`
      // Most of a file are zeros that nobody has written to.
      const position = at % Math.min(statSync(file).size, 64 << 10)
      flip(file, position, mask)
      const { findings } = await verify(directory)
      flip(file, position, mask)
      for (const finding of findings) expect(finding.file.startsWith(directory)).toBe(true)
    }),
    { numRuns: 60 },
  )
})
