import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { silentLogger } from '../../src/model/logger.ts'
import { randomUuid } from '../../src/model/uuid.ts'
import { LogDirectory } from '../../src/segment/logDirectory.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { append, batchOf, readAll, runtime, testConfig, valuesOf } from './support.ts'

function open(directory: string, more: { nodeId?: number; clusterId?: string } = {}): Promise<LogDirectory> {
  return LogDirectory.open(runtime, {
    directory,
    logger: silentLogger,
    nodeId: 1,
    configFor: () => testConfig,
    ...more,
  })
}

describe('a data directory', () => {
  test('keeps its logs and its identity over a clean restart', async () => {
    const directory = temporaryDirectory()
    const first = await open(directory)
    const topicId = randomUuid(runtime.random)
    const log = await first.createLog('orders', 0, topicId, testConfig)
    await append(log, batchOf(['a', 'b']))
    const { clusterId, directoryId } = first
    await first.close()
    expect(existsSync(`${directory}/.kafka_cleanshutdown`)).toBe(true)
    expect(readFileSync(`${directory}/recovery-point-offset-checkpoint`, 'utf8')).toBe('0\n1\norders 0 2\n')

    const second = await open(directory, { clusterId })
    expect(existsSync(`${directory}/.kafka_cleanshutdown`)).toBe(false)
    expect([second.clusterId, second.directoryId]).toEqual([clusterId, directoryId])
    const reopened = second.logs.get('orders-0')!
    expect(reopened.topicId).toBe(topicId)
    expect(valuesOf(await readAll(reopened))).toEqual(['a', 'b'])
    await second.close()
  })

  test('belongs to one process at a time, and says to whom', async () => {
    const directory = temporaryDirectory()
    const first = await open(directory)
    await expect(open(directory)).rejects.toMatchObject({
      code: 'directoryLocked',
      message: expect.stringContaining(`process ${process.pid} on host`),
    })
    await first.close()
    await (await open(directory)).close()
  })

  test('is not marked as cleanly shut down as long as one of its logs cannot be opened', async () => {
    const directory = temporaryDirectory()
    const first = await open(directory)
    const log = await first.createLog('orders', 0, randomUuid(runtime.random), testConfig)
    await append(log, batchOf(['a']))
    await first.close()
    // A directory that the journal does not know, and that does not say whose it is.
    cpSync(`${directory}/orders-0`, `${directory}/payments-0`, { recursive: true })
    rmSync(`${directory}/payments-0/partition.metadata`)
    const points = '0\n2\norders 0 1\npayments 0 1\n'
    writeFileSync(`${directory}/recovery-point-offset-checkpoint`, points)
    await (await open(directory)).close()
    expect(existsSync(`${directory}/.kafka_cleanshutdown`)).toBe(false)
    expect(readFileSync(`${directory}/recovery-point-offset-checkpoint`, 'utf8')).toBe(points)
  })

  test('is refused by another cluster and by another node', async () => {
    const directory = temporaryDirectory()
    await (await open(directory)).close()
    const clusterId = randomUuid(runtime.random)
    await expect(open(directory, { clusterId })).rejects.toMatchObject({ code: 'directoryForeign' })
    await expect(open(directory, { nodeId: 2 })).rejects.toMatchObject({ code: 'directoryForeign' })
    writeFileSync(`${directory}/meta.properties`, 'nonsense')
    await expect(open(directory)).rejects.toMatchObject({ code: 'directoryForeign' })
    writeFileSync(`${directory}/meta.properties`, 'version=2\nnode.id=1\ncluster.id=x\n')
    await expect(open(directory)).rejects.toThrow('has version 2, this release knows 1')
  })

  test('forgets the offsets of a deleted log when its name is used again', async () => {
    const directory = temporaryDirectory()
    const first = await open(directory)
    const old = await first.createLog('orders', 0, randomUuid(runtime.random), {
      ...testConfig,
      flush: 'batch',
    })
    await append(old, batchOf(['a', 'b', 'c']))
    await old.deleteRecordsBefore(2)
    await first.checkpoint()
    await first.deleteLog('orders', 0)
    await first.createLog('orders', 0, randomUuid(runtime.random), testConfig)
    expect(readFileSync(`${directory}/recovery-point-offset-checkpoint`, 'utf8')).toBe('0\n0\n')
    expect(readFileSync(`${directory}/log-start-offset-checkpoint`, 'utf8')).toBe('0\n0\n')
    await first.close()
  })

  test('forgets them also when they are being stored meanwhile', async () => {
    const directory = temporaryDirectory()
    let carryOn = (): void => {}
    const gate = new Promise<void>((resolve) => (carryOn = resolve))
    const { disk } = runtime
    const slow = new Proxy(disk, {
      get: (target, name) => {
        if (name === 'replaceFile') {
          return async (path: string, bytes: Uint8Array): Promise<void> => {
            if (path.endsWith('slow-0/leader-epoch-checkpoint')) await gate
            await disk.replaceFile(path, bytes)
          }
        }
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    const first = await LogDirectory.open(
      { ...runtime, disk: slow },
      { directory, logger: silentLogger, nodeId: 1, configFor: () => testConfig },
    )
    const config = { ...testConfig, flush: 'batch' } as const
    for (const name of ['orders', 'slow']) {
      const log = await first.createLog(name, 0, randomUuid(runtime.random), config)
      await append(log, batchOf(['a', 'b', 'c']))
    }
    const storing = first.checkpoint()
    await first.deleteLog('orders', 0)
    await first.createLog('orders', 0, randomUuid(runtime.random), config)
    carryOn()
    await storing
    expect(readFileSync(`${directory}/recovery-point-offset-checkpoint`, 'utf8')).toBe('0\n1\nslow 0 3\n')
    await first.close()
  })

  test('sets a log aside: the name is free, the files stay, and no start looks at them', async () => {
    const directory = temporaryDirectory()
    const first = await open(directory)
    const old = await first.createLog('orders', 0, randomUuid(runtime.random), testConfig)
    await append(old, batchOf(['a']))
    const records = readFileSync(`${directory}/orders-0/00000000000000000000.log`)
    const stray = await first.setAside('orders', 0)
    expect(stray).toMatch(/orders-0\.[0-9a-f]{32}-stray$/)
    expect(await first.setAside('orders', 0)).toBeNull()
    const log = await first.createLog('orders', 0, randomUuid(runtime.random), testConfig)
    expect(log.logEndOffset).toBe(0)
    await first.close()
    const second = await open(directory)
    expect([...second.logs.keys()]).toEqual(['orders-0'])
    await second.close()
    expect(readFileSync(`${stray}/00000000000000000000.log`)).toEqual(records)
  })

  test('removes deleted logs at the next start and keeps what it does not know', async () => {
    const directory = temporaryDirectory()
    const first = await open(directory)
    const log = await first.createLog('orders', 0, randomUuid(runtime.random), {
      ...testConfig,
      fileDeleteDelayMs: 9e8,
    })
    await append(log, batchOf(['a']))
    await first.deleteLog('orders', 0)
    const deleted = readdirSync(directory).filter((name) => /^orders-0\.[0-9a-f]{32}-delete$/.test(name))
    expect(deleted.length).toBe(1)
    await first.close()
    mkdirSync(`${directory}/holiday pictures`)
    mkdirSync(`${directory}/stray-0`)
    writeFileSync(`${directory}/stray-0/00000000000000000000.log`, batchOf(['x']))
    const second = await open(directory)
    await expect.poll(() => existsSync(`${directory}/${deleted[0]}`)).toBe(false)
    expect([...second.logs.keys()]).toEqual([])
    await expect(second.createLog('stray', 0, randomUuid(runtime.random), testConfig)).rejects.toMatchObject({
      code: 'corruptLog',
    })
    await second.close()
    expect(existsSync(`${directory}/holiday pictures`)).toBe(true)
    expect(existsSync(`${directory}/stray-0/00000000000000000000.log`)).toBe(true)
    rmSync(`${directory}/stray-0`, { recursive: true })
  })

  test.each(['..', 'a/b', '', 'x'.repeat(250)])(
    'refuses the topic name "%s" for a directory',
    async (topic) => {
      const opened = await open(temporaryDirectory())
      const created = opened.createLog(topic, 0, randomUuid(runtime.random), testConfig)
      await expect(created).rejects.toMatchObject({ code: 'invalidTopicException' })
      await opened.close()
    },
  )
})
