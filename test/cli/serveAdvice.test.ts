import { writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { withAdvice } from '../../src/cli/serveAdvice.ts'
import { EngineError, type EngineErrorName } from '../../src/model/errors.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { run } from './commandLine.ts'

const listen = { host: '127.0.0.1', port: 80 }

/** What `serve` says of an error, where this user may not write. */
function said(code: EngineErrorName, message: string, directory: string, journalDirectory?: string): string {
  const config = { listen, directory, journalDirectory: journalDirectory ?? null }
  return (withAdvice(new EngineError(code, message), config, () => false) as Error).message
}

const notWritable = (path: string) =>
  `${path} is not writable; let this user write there, or name another directory`

test('a directory that this user may not write to is said to be so once', () => {
  const data = temporaryDirectory()
  expect(said('permissionDenied', notWritable(data), data)).toBe(
    `${data} is not writable; let this user write there, or choose another --directory`,
  )
})

test('of a directory that is not there, the one is named in which it cannot be made', () => {
  const parent = temporaryDirectory()
  expect(said('permissionDenied', notWritable(`${parent}/a/b`), `${parent}/a/b`)).toBe(
    `cannot make ${parent}/a/b: ${parent} is not writable; let this user write there, or choose another --directory`,
  )
})

test('a file that this user may not open is named, in a directory that is writable', () => {
  const directory = temporaryDirectory()
  const error = new EngineError('permissionDenied', `cannot open ${directory}/t-0/0.log: permission denied`)
  const config = { listen, directory, journalDirectory: null }
  expect((withAdvice(error, config, () => true) as Error).message).toBe(
    `cannot open ${directory}/t-0/0.log: permission denied; let this user write there, or choose another --directory`,
  )
})

test('an error of the journal names its path and its option, wherever it is', () => {
  const data = temporaryDirectory()
  for (const journal of [temporaryDirectory(), `${data}/journal`]) {
    const message = `cannot make the directory ${journal}: there is a file of that name`
    expect(said('notFound', message, data, journal)).toBe(
      `${message}; check ${journal}, or choose another --journal-directory`,
    )
    expect(said('diskFull', `cannot write ${journal}/checkpoint-0`, data, journal)).toContain(
      `make room on the disk of ${journal}`,
    )
    expect(said('diskFull', `cannot write ${data}/t-0/0.log`, data, journal)).toContain(
      `make room on the disk of ${data}`,
    )
  }
})

test('a port that this user may not listen on has nothing to do with directories', () => {
  const message = 'cannot listen on 127.0.0.1:80: permission denied (EACCES)'
  for (const directory of ['/data', '.'])
    expect(said('permissionDenied', message, directory)).toBe(`${message}; choose another port with --listen`)
})

test('serve says so of a journal in a file', async () => {
  const file = `${temporaryDirectory()}/file`
  writeFileSync(file, '')
  const flags = ['--directory', temporaryDirectory(), '--journal-directory', file]
  const { exitCode, stderr } = await run([
    'serve',
    '--listen',
    '127.0.0.1:0',
    ...flags,
    '--log-level',
    'error',
  ])
  expect([exitCode, stderr]).toEqual([
    1,
    expect.stringContaining(`check ${file}, or choose another --journal-directory`),
  ])
})
