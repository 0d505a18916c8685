import { describe, expect, test } from 'vitest'
import { Controller } from '../../src/controller/controller.ts'
import type { MetadataDelta } from '../../src/controller/image.ts'
import { EngineError } from '../../src/model/errors.ts'
import { type Logger, silentLogger } from '../../src/model/logger.ts'
import { zeroUuid } from '../../src/model/uuid.ts'
import { checkBatch } from '../../src/segment/recordBatch.ts'
import { encodeBatch } from '../../src/segment/records.ts'
import { WriteGroup } from '../../src/segment/writeGroup.ts'
import {
  metadataDirectory,
  openController,
  openMetadataLog,
  testRuntime,
  withSubmit,
} from './metadataDirectory.ts'
import { codeOr, plain } from './support.ts'

const endpoint = (port: number) => ({ name: 'PLAINTEXT', host: '127.0.0.1', port, securityProtocol: 0 })

describe('a new cluster', () => {
  test('begins with its feature level and its broker', async () => {
    const { controller, log } = await openController(testRuntime(), metadataDirectory(), {
      endpoints: [endpoint(9092)],
    })
    const { image } = controller
    expect(image.features).toEqual(new Map([['metadata.version', 21]]))
    expect(image.brokers.get(1)).toMatchObject({ id: 1, endpoints: [endpoint(9092)], fenced: false })
    expect(image.nextOffset).toBe(2)
    expect(log.flushedOffset).toBe(2)
  })

  test('keeps its log whatever retention its caller had in mind', async () => {
    const { log } = await openController(testRuntime(), metadataDirectory())
    expect(log.config).toMatchObject({ retentionMs: -1, retentionBytes: -1, flush: 'journal' })
  })

  test('is refused defaults that no topic could have', async () => {
    const defaults = new Map([['log.cleanup.policy', 'burn']])
    await expect(openController(testRuntime(), metadataDirectory(), { defaults })).rejects.toMatchObject({
      code: 'invalidConfig',
    })
  })
})

describe('a restart', () => {
  test('finds everything as it was and writes nothing', async () => {
    const runtime = testRuntime()
    const directory = metadataDirectory()
    const first = await openController(runtime, directory, { endpoints: [endpoint(9092)] })
    const configs = [{ name: 'retention.ms', value: '5' }]
    await first.controller.createTopics([{ name: 'a', numPartitions: 3, configs }, { name: 'b' }])
    await first.controller.deleteTopics([{ name: 'b', topicId: zeroUuid }])
    const second = await openController(runtime, directory, { endpoints: [endpoint(9092)] })
    expect(plain(second.controller.image)).toEqual(plain(first.controller.image))
    expect(second.log.logEndOffset).toBe(first.log.logEndOffset)
    const third = await openController(runtime, directory)
    expect(plain(third.controller.image)).toEqual(plain(first.controller.image))
  })

  test('at another address renews the registration', async () => {
    const runtime = testRuntime()
    const directory = metadataDirectory()
    const first = await openController(runtime, directory, { endpoints: [endpoint(9092)] })
    const before = first.controller.image.brokers.get(1)!
    const second = await openController(runtime, directory, { endpoints: [endpoint(9093)] })
    const after = second.controller.image.brokers.get(1)!
    expect(after.endpoints).toEqual([endpoint(9093)])
    expect(after.epoch).toBeGreaterThan(before.epoch)
    expect(after.incarnationId).not.toBe(before.incarnationId)
    await second.controller.registerBroker([endpoint(9094)])
    const third = await openController(runtime, directory)
    expect(third.controller.image.brokers.get(1)!.endpoints).toEqual([endpoint(9094)])
  })

  test('never gives a producer id block again, also one that nobody lived to use', async () => {
    const runtime = testRuntime()
    const directory = metadataDirectory()
    const firsts = new Set<number>()
    for (let round = 0; round < 3; round++) {
      const { controller } = await openController(runtime, directory)
      for (const { first } of await Promise.all([
        controller.allocateProducerIds(),
        controller.allocateProducerIds(),
      ])) {
        firsts.add(first)
      }
    }
    expect([...firsts].sort((a, b) => a - b)).toEqual([0, 1000, 2000, 3000, 4000, 5000])
  })

  test('refuses a log whose beginning is gone', async () => {
    const runtime = testRuntime()
    const directory = metadataDirectory()
    const { log, controller } = await openController(runtime, directory)
    await controller.createTopics([{ name: 'a' }])
    await log.deleteRecordsBefore(3)
    const options = { nodeId: 1, clusterId: 'c', logger: silentLogger }
    await expect(Controller.open(runtime, log, options)).rejects.toMatchObject({ code: 'corruptLog' })
  })
})

describe('commands', () => {
  test('are decided one after the other, each upon what all before it did', async () => {
    const { controller } = await openController(testRuntime(), metadataDirectory())
    const outcomes = await Promise.all([
      controller.createTopics([{ name: 'a' }]),
      controller.createTopics([{ name: 'a' }]),
      controller.createPartitions([{ name: 'a', count: 2 }]),
      controller.deleteTopics([{ name: 'a', topicId: zeroUuid }]),
      controller.createPartitions([{ name: 'a', count: 3 }]),
      controller.createTopics([{ name: 'a' }]),
    ])
    expect(outcomes.flat().map(codeOr('done'))).toEqual([
      'done',
      'topicAlreadyExists',
      'done',
      'done',
      'unknownTopicOrPartition',
      'done',
    ])
  })

  test('change nothing when they are only to be validated', async () => {
    const { controller, log } = await openController(testRuntime(), metadataDirectory())
    const before = plain(controller.image)
    const [outcome] = await controller.createTopics([{ name: 'a', numPartitions: 3 }], { validateOnly: true })
    expect(outcome).toMatchObject({ name: 'a', numPartitions: 3 })
    expect(plain(controller.image)).toEqual(before)
    expect(log.logEndOffset).toBe(controller.image.nextOffset)
  })

  test('show in the image only once they are durable', async () => {
    const runtime = testRuntime()
    let release = (): void => {}
    let held: Promise<void> = Promise.resolve()
    let writing = false
    const slow = withSubmit(runtime, async (group) => {
      const waiting = held
      await runtime.disk.submit(group)
      writing = true
      await waiting
    })
    const { controller } = await openController(slow, metadataDirectory())
    writing = false
    held = new Promise((resolve) => {
      release = resolve
    })
    const created = controller.createTopics([{ name: 'a' }])
    await expect.poll(() => writing).toBe(true)
    expect(controller.image.topics.has('a')).toBe(false)
    release()
    await created
    expect(controller.image.topics.has('a')).toBe(true)
  })
})

describe('a listener', () => {
  test('is told of each change in order, before the caller is answered', async () => {
    const { controller } = await openController(testRuntime(), metadataDirectory())
    const seen: string[] = []
    const names = (delta: MetadataDelta): string =>
      [
        ...delta.topicsCreated.map(({ name }) => `+${name}`),
        ...delta.topicsDeleted.map(({ name }) => `-${name}`),
        ...delta.partitionsAdded.map(({ topic, partitions }) => `${topic.name}:${partitions}`),
        ...delta.configsChanged.map(({ name }) => `~${name}`),
      ].join(' ')
    controller.onChange(async (delta) => {
      seen.push(`begin ${names(delta)}`)
      await new Promise<void>((resolve) => setImmediate(resolve))
      seen.push(`end ${names(delta)}`)
    })
    controller.onChange((delta) => {
      seen.push(`second ${names(delta)}`)
    })
    const answered = (what: string) => () => seen.push(what)
    await Promise.all([
      controller.createTopics([{ name: 'a' }, { name: 'b' }]).then(answered('created')),
      controller.createPartitions([{ name: 'a', count: 3 }]).then(answered('grown')),
      controller.allocateProducerIds(),
      controller
        .incrementalAlterConfigs([
          {
            resourceType: 2,
            resourceName: 'b',
            configs: [{ name: 'segment.ms', configOperation: 0, value: '7' }],
          },
        ])
        .then(answered('altered')),
      controller.deleteTopics([{ name: 'a', topicId: zeroUuid }]).then(answered('deleted')),
    ])
    expect(seen.filter((text) => /^(begin|end|second)/.test(text))).toEqual(
      ['+a +b', 'a:1,2', '~b', '-a'].flatMap((what) => [`begin ${what}`, `end ${what}`, `second ${what}`]),
    )
    expect(seen.indexOf('created')).toBeGreaterThan(seen.indexOf('second +a +b'))
    expect(seen.indexOf('deleted')).toBeGreaterThan(seen.indexOf('second -a'))
  })

  test('that fails is reported, and keeps neither the change nor the others from going on', async () => {
    const errors: string[] = []
    const logger: Logger = {
      ...silentLogger,
      error: (message, fields) => errors.push(`${message} ${fields?.error}`),
    }
    const { controller } = await openController(testRuntime(), metadataDirectory(), { logger })
    const seen: number[] = []
    controller.onChange(async () => {
      throw new EngineError('diskFull', 'no room for a directory')
    })
    controller.onChange(({ topicsCreated }) => {
      seen.push(topicsCreated.length)
    })
    const outcomes = await controller.createTopics([{ name: 'a' }])
    expect(outcomes.map(codeOr('created'))).toEqual(['created'])
    expect(seen).toEqual([1])
    expect(errors).toEqual([expect.stringContaining('no room for a directory')])
  })
})

describe('a write that fails', () => {
  async function failing(code: 'diskFull' | 'diskFailed') {
    const runtime = testRuntime()
    let fails = false
    const failingRuntime = withSubmit(runtime, (group) =>
      fails ? Promise.reject(new EngineError(code, 'as the test wants it')) : runtime.disk.submit(group),
    )
    const directory = metadataDirectory()
    const { controller, log } = await openController(failingRuntime, directory)
    await controller.createTopics([{ name: 'before' }])
    const before = plain(controller.image)
    fails = true
    await expect(controller.createTopics([{ name: 'a' }])).rejects.toMatchObject({ code })
    expect(plain(controller.image)).toEqual(before)
    fails = false
    return { runtime, directory, controller, log }
  }

  test('for want of room voids the change, and the next one finds room', async () => {
    const { runtime, directory, controller, log } = await failing('diskFull')
    // The log cuts its torn end in the background.
    await expect
      .poll(() => controller.createTopics([{ name: 'b' }]).then(() => 'created', String))
      .toBe('created')
    expect([...controller.image.topics.keys()]).toEqual(['before', 'b'])
    const reopened = await openController(runtime, directory)
    expect(plain(reopened.controller.image)).toEqual(plain(controller.image))
    expect(log.offline).toBeNull()
  })

  test('for another reason stops all changes until the log is opened again', async () => {
    const { runtime, directory, controller } = await failing('diskFailed')
    await expect(controller.createTopics([{ name: 'b' }])).rejects.toMatchObject({ code: 'diskFailed' })
    await expect(controller.allocateProducerIds()).rejects.toMatchObject({ code: 'diskFailed' })
    const reopened = await openController(runtime, directory)
    expect(plain(reopened.controller.image)).toEqual(plain(controller.image))
  })
})

test('a log that holds something else is refused', async () => {
  const runtime = testRuntime()
  const directory = metadataDirectory()
  const log = await openMetadataLog(runtime, directory)
  const value = Buffer.from('no metadata record')
  const bytes = encodeBatch({ records: [{ key: null, value, timestampMs: 0 }] }, runtime.checksum)
  const group = new WriteGroup(runtime.disk)
  log.append(checkBatch(bytes, runtime.checksum), bytes, 1, group)
  await group.submit()
  await expect(openController(runtime, directory)).rejects.toMatchObject({ code: 'unsupportedFormat' })
})
