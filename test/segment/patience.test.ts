import { expect, test } from 'vitest'
import { EngineError } from '../../src/model/errors.ts'
import type { DiskFile } from '../../src/runtime/disk.ts'
import type { Runtime } from '../../src/runtime/runtime.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { append, batchOf, openLog, readAll, runtime } from './support.ts'

/** The machine's disk, of which some calls fail as often as a test says. */
function failing(calls: Partial<Record<'read' | 'truncate', EngineError[]>>): Runtime {
  const fail = (name: 'read' | 'truncate'): void => {
    const error = calls[name]?.shift()
    if (error !== undefined) throw error
  }
  const file = (path: string): DiskFile => {
    const inner = runtime.disk.file(path)
    return {
      path,
      read: async (target, position) => {
        fail('read')
        return inner.read(target, position)
      },
      size: () => inner.size(),
      truncate: async (sizeBytes) => {
        fail('truncate')
        await inner.truncate(sizeBytes)
      },
      sync: () => inner.sync(),
      close: () => inner.close(),
    }
  }
  const disk = new Proxy(runtime.disk, {
    get: (target, name) => {
      if (name === 'file') return file
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  return { ...runtime, disk }
}

test.each([
  ['read', 'diskFailed', 'what it cannot read now'],
  ['truncate', 'diskFull', 'a descriptor that it cannot get now'],
] as const)('a log that is cut waits for the disk: %s, %s (%s)', async (call, code, _) => {
  const errors: EngineError[] = []
  const log = await openLog(temporaryDirectory(), {}, failing({ [call]: errors }))
  for (const value of ['a', 'b', 'c']) await append(log, batchOf([value]))
  errors.push(new EngineError(code, 'not now'), new EngineError(code, 'not yet'))
  await log.truncate(1)
  expect(errors).toEqual([])
  expect(log.offline).toBe(null)
  await append(log, batchOf(['d']))
  expect((await readAll(log)).map(({ value }) => Buffer.from(value!).toString())).toEqual(['a', 'd'])
  await log.close({ clean: true })
})

test('a log whose files cannot be cut is offline', async () => {
  const errors: EngineError[] = []
  const log = await openLog(temporaryDirectory(), {}, failing({ truncate: errors }))
  for (const value of ['a', 'b', 'c']) await append(log, batchOf([value]))
  errors.push(new EngineError('diskFailed', 'broken'))
  await expect(log.truncate(1)).rejects.toMatchObject({ code: 'diskFailed' })
  expect(log.offline).toMatchObject({ code: 'diskFailed' })
  await log.close({ clean: true })
})
