import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { CorruptionError, EngineError, WriteError } from '../../../src/model/errors.ts'
import { type Compute, inlineCompute, type Task, taskTable } from '../../../src/runtime/compute.ts'
import { NodeCompute } from '../../../src/runtime/node/compute.ts'
import { nodeChecksum } from '../../../src/runtime/node/nodeChecksum.ts'
import { NodeDisk } from '../../../src/runtime/node/nodeDisk.ts'
import { errorOf, runInThread, type TaskOutcome } from '../../../src/runtime/node/taskThread.ts'
import { encodeBatch } from '../../../src/segment/records.ts'
import { type ScanInput, scanSegmentTask } from '../../../src/segment/scanTask.ts'
import { Segment } from '../../../src/segment/segment.ts'
import { tasks } from '../../../src/segment/tasks.ts'
import { batchCodecs } from '../../../src/zerocopy/codecs.ts'
import { temporaryDirectory } from '../../support/temporaryDirectory.ts'

const world = { disk: new NodeDisk(), checksum: nodeChecksum, codecs: batchCodecs }
afterAll(() => world.disk.close())

/** A segment with `count` batches of one record each, and what a scan of it is told. */
function segmentOf(count: number): ScanInput {
  const path = join(temporaryDirectory(), '00000000000000000000.log')
  const batches = Array.from({ length: count }, (_, offset) => {
    const producer = { producerId: offset % 3, producerEpoch: 0, baseSequence: Math.floor(offset / 3) }
    const record = { key: null, value: Buffer.from(`value ${offset}`), timestampMs: 1000 + offset }
    return encodeBatch(
      { records: [record], baseOffset: offset, leaderEpoch: offset >> 4, ...producer },
      nodeChecksum,
    )
  })
  const bytes = Buffer.concat(batches)
  writeFileSync(path, bytes)
  const known = new Segment(0, world.disk.file(path), 0, 0, false).closedState()
  const begin = { baseOffset: 0, known, offset: 0, leaderEpoch: -1, producersFrom: 0 }
  return { path, ...begin, end: bytes.length, indexIntervalBytes: 0, wallMs: 5000 }
}

describe.each([
  ['inline', () => inlineCompute(tasks, world)],
  ['in worker threads', () => new NodeCompute({ maxThreads: 2 })],
])('tasks %s', (_, create: () => Compute) => {
  const open = (): Compute => {
    const compute = create()
    onTestFinished(() => compute.close())
    return compute
  }

  test('give what the segment holds: end, indexes, epochs and producers', async () => {
    const input = segmentOf(40)
    const found = await open().run(scanSegmentTask, input)
    expect(found.end).toEqual({ validBytes: input.end, nextOffset: 40, damage: null })
    expect(found.mark).toMatchObject({ sizeBytes: input.end, maxTimestampMs: 1039, offsetOfMaxTimestamp: 39 })
    expect(found.offsets.length).toBe(39 * 2)
    expect(found.epochs).toEqual([0, 16, 32].map((startOffset, epoch) => ({ epoch, startOffset })))
    expect(found.producers.map(({ batches }) => batches.map(({ lastOffset }) => lastOffset))).toEqual([
      [27, 30, 33, 36, 39],
      [25, 28, 31, 34, 37],
      [26, 29, 32, 35, 38],
    ])
  })

  test('run side by side and give each caller its own result', async () => {
    const compute = open()
    const inputs = [1, 2, 3, 4, 5].map(segmentOf)
    const found = await Promise.all(inputs.map((input) => compute.run(scanSegmentTask, input)))
    expect(found.map(({ end }) => end.nextOffset)).toEqual([1, 2, 3, 4, 5])
  })

  test('fail with the class and code of the error, and leave the thread to others', async () => {
    const compute = open()
    const input = segmentOf(1)
    const failed = compute.run(scanSegmentTask, { ...input, path: `${input.path}.missing` })
    await expect(failed).rejects.toBeInstanceOf(EngineError)
    await expect(failed).rejects.toMatchObject({ code: 'notFound', kafka: -1 })
    expect((await compute.run(scanSegmentTask, input)).end.nextOffset).toBe(1)
  })

  test('reject with the reason once they are given up', async () => {
    const compute = open()
    const reason = new Error('changed my mind')
    const before = compute.run(scanSegmentTask, segmentOf(1), { signal: AbortSignal.abort(reason) })
    await expect(before).rejects.toBe(reason)
    const controller = new AbortController()
    const running = compute.run(scanSegmentTask, segmentOf(2000), { signal: controller.signal })
    controller.abort(reason)
    await expect(running).rejects.toBe(reason)
  })

  test('are stopped by close, and not taken after it', async () => {
    const compute = create()
    const running = compute.run(scanSegmentTask, segmentOf(2000))
    const ended = expect(running).rejects.toMatchObject({ code: 'closed' })
    await compute.close()
    await ended
    await expect(compute.run(scanSegmentTask, segmentOf(1))).rejects.toMatchObject({ code: 'closed' })
    await compute.close()
  })
})

test('inline compute takes only tasks that a worker knows as well', async () => {
  const stranger: Task<number, number> = { name: 'stranger', body: async (input) => input }
  await expect(inlineCompute(tasks, world).run(stranger, 1)).rejects.toMatchObject({ code: 'notFound' })
  expect(() => taskTable([stranger, stranger])).toThrow('two tasks stranger')
})

test('an error keeps class, code, corruption and causes on its way between threads', async () => {
  const where = { file: 'a.log', position: 7, expected: 'x', found: 'y' }
  const thrown: unknown[] = [
    new CorruptionError(where),
    new EngineError('diskFull', 'no room', { cause: Object.assign(new Error('write'), { code: 'ENOSPC' }) }),
    new RangeError('too large'),
    'text',
    new WriteError([{ path: 'd/a.cleaned', error: new EngineError('diskFull', 'no room') }]),
  ]
  const throwing: Task<number, never> = {
    name: 'throwing',
    body: async (index) => {
      throw thrown[index]
    },
  }
  const errors: Error[] = []
  for (const input of thrown.keys()) {
    const call = { task: 'throwing', input, stop: new Int32Array(1) }
    const outcome: TaskOutcome = structuredClone(await runInThread(taskTable([throwing]), world, call))
    if (!outcome.ok) errors.push(errorOf(outcome.error))
  }
  expect(errors[0]).toBeInstanceOf(CorruptionError)
  expect((errors[0] as CorruptionError).corruption).toEqual(where)
  expect(errors[1]).toMatchObject({ name: 'EngineError', code: 'diskFull', cause: { code: 'ENOSPC' } })
  expect(errors[2]).toMatchObject({ name: 'RangeError', message: 'too large' })
  expect(errors[3]).toMatchObject({ message: 'text' })
  expect(errors[4]).toBeInstanceOf(EngineError)
  expect(errors[4]).toMatchObject({ code: 'diskFull', message: 'no room' })
})

const source = (path: string): string => fileURLToPath(new URL(`../../../src/${path}`, import.meta.url))

/** Runs a program with the bundle, with at most so many descriptors, and gives what it prints. */
async function runBundled(name: string, text: string, maxDescriptors = 1024): Promise<unknown> {
  const program = join(temporaryDirectory(), 'program.ts')
  const imports = `
    import { closeSync, openSync, readdirSync } from 'node:fs'
    import { NodeCompute } from ${JSON.stringify(source('runtime/node/compute.ts'))}
    import { scanSegmentTask } from ${JSON.stringify(source('segment/scanTask.ts'))}
    const input = ${JSON.stringify(segmentOf(3))}`
  writeFileSync(program, imports + text)
  const bundle = await rolldown({
    input: { program, worker: source('worker.ts') },
    platform: 'node',
    logLevel: 'silent',
    external: [/^[^./]/],
  })
  const dist = fileURLToPath(new URL(`../../../node_modules/.cordwood-test/${name}/`, import.meta.url))
  await bundle.write({ dir: dist, format: 'esm', chunkFileNames: 'chunks/[name].js' })
  await bundle.close()
  const command = `ulimit -n ${maxDescriptors}; exec "$0" "$@"`
  const parameters = ['-c', command, process.execPath, join(dist, 'program.js')]
  const ended = spawnSync('sh', parameters, { timeout: 20_000, encoding: 'utf8' })
  expect(ended.stderr).toBe('')
  expect(ended.signal).toBe(null)
  return JSON.parse(ended.stdout)
}

test('from the bundle: no thread before the first task, and a process with idle threads ends by itself', async () => {
  const found = await runBundled(
    'idle',
    `
    const threads = () => readdirSync('/proc/self/task').length
    const before = threads()
    const compute = new NodeCompute()
    const idle = threads() === before
    const found = await compute.run(scanSegmentTask, input)
    console.log(JSON.stringify({ idle, nextOffset: found.end.nextOffset, more: threads() > before }))`,
  )
  expect(found).toEqual({ idle: true, nextOffset: 3, more: true })
})

/** Runs tasks while only some descriptors are left, and again when there are more. */
const starving = `
    const outcomes = []
    const outcome = (compute) => compute.run(scanSegmentTask, input).then(({ end }) => end.nextOffset, ({ code }) => code)
    const starve = async (left) => {
      const compute = new NodeCompute({ maxThreads: 1 })
      const taken = []
      try {
        for (;;) taken.push(openSync('/dev/null'))
      } catch {}
      for (let count = 0; count < left; count++) closeSync(taken.pop())
      outcomes.push(await Promise.all([outcome(compute), outcome(compute)]))
      for (const file of taken) closeSync(file)
      outcomes.push(await outcome(compute))
    }`
const failed = ['unknownServerError', 'unknownServerError']

test('tasks fail while there are no descriptors for a thread, and the next ones run', async () => {
  const text = `${starving}
    await outcome(new NodeCompute({ maxThreads: 1, idleMs: 0 }))
    for (const left of [0, 2, 4]) await starve(left)
    console.log(JSON.stringify(outcomes))`
  expect(await runBundled('starving', text, 64)).toEqual([failed, 3, failed, 3, failed, 3])
})

test('tasks run although the first of them came when no descriptor was left', async () => {
  const text = `${starving}
    await starve(0)
    console.log(JSON.stringify(outcomes))`
  expect(await runBundled('cold', text, 64)).toEqual([failed, 3])
})
