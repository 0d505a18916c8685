import { expect, onTestFinished, test } from 'vitest'
import { EngineError } from '../../src/model/errors.ts'
import { KafkaError } from '../../src/model/kafkaErrors.ts'
import { apiKeys } from '../../src/protocol/apiKeys.ts'
import type { Disk, DiskWrite } from '../../src/runtime/disk.ts'
import { createNodeRuntime } from '../../src/runtime/node/nodeRuntime.ts'
import type { Runtime } from '../../src/runtime/runtime.ts'
import { batchOf, createTopic, produce } from './support/produce.ts'
import { expectAlive, RawClient, runBroker } from './support/runningBroker.ts'

const error = (name: keyof typeof KafkaError): number => KafkaError[name].kafka

const kib = 1024

/** A disk that can be made to hang, or to be full. */
class SickDisk {
  readonly runtime: Runtime
  readonly maxQueuedBytes = 512 * kib
  mode: 'well' | 'hangs' | 'full' = 'well'
  #hungBytes = 0
  #maxSeenBytes = 0
  #hung: (() => void)[] = []
  #rooms: (() => void)[] = []

  constructor() {
    const inner = createNodeRuntime()
    const disk = new Proxy(inner.disk, {
      get: (target, name) => {
        if (name === 'submit') return (group: readonly DiskWrite[]) => this.#submit(target, group)
        if (name === 'queuedBytes') return target.queuedBytes + this.#hungBytes
        if (name === 'maxQueuedBytes') return this.maxQueuedBytes
        if (name === 'room') return () => this.#room(target)
        const value = Reflect.get(target, name, target) as unknown
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    this.runtime = { ...inner, disk }
    onTestFinished(() => this.recover())
  }

  /** The most that was ever queued. */
  get maxSeenBytes(): number {
    return this.#maxSeenBytes
  }

  recover(): void {
    this.mode = 'well'
    for (const go of this.#hung.splice(0)) go()
    for (const go of this.#rooms.splice(0)) go()
  }

  async #submit(target: Disk, group: readonly DiskWrite[]): Promise<void> {
    let bytes = 0
    for (const { parts } of group) for (const part of parts) bytes += part.length
    if (this.mode === 'full') throw new EngineError('diskFull', 'no space left')
    if (this.mode === 'hangs') {
      const copies = group.map((write) => ({ ...write, parts: write.parts.map((part) => part.slice()) }))
      this.#hungBytes += bytes
      this.#maxSeenBytes = Math.max(this.#maxSeenBytes, this.#hungBytes)
      await new Promise<void>((resolve) => this.#hung.push(resolve))
      this.#hungBytes -= bytes
      await target.submit(copies)
      return
    }
    await target.submit(group)
  }

  /** As promised: resolves once less than half of the bound is queued. */
  async #room(target: Disk): Promise<void> {
    while ((target.queuedBytes + this.#hungBytes) * 2 >= this.maxQueuedBytes) {
      if (this.mode === 'hangs') await new Promise<void>((resolve) => this.#rooms.push(resolve))
      else await new Promise((resolve) => setImmediate(resolve))
    }
  }
}

async function world() {
  const disk = new SickDisk()
  const running = await runBroker({ runtime: disk.runtime })
  const client = await RawClient.connect(running.broker)
  await createTopic(client, 'orders', 2)
  return { disk, client, ...running }
}

test('a disk that hangs leads to REQUEST_TIMED_OUT, a bounded queue, and no end of service', async () => {
  const { disk, client, broker } = await world()
  disk.mode = 'hangs'
  const clients = await Promise.all(Array.from({ length: 20 }, () => RawClient.connect(broker)))
  const answers = clients.map((each) =>
    produce(each, 'orders', batchOf(['x'.repeat(100 * kib)]), { timeoutMs: 200 }),
  )
  for (const answer of await Promise.all(answers)) {
    expect(answer).toMatchObject({ errorCode: error('requestTimedOut'), baseOffset: -1 })
  }
  expect(disk.maxSeenBytes).toBeGreaterThan(0)
  expect(disk.maxSeenBytes).toBeLessThanOrEqual(disk.maxQueuedBytes)
  expect(broker.load).toMatchObject({ waitingForDisk: 0, requestBytes: 0 })
  await expectAlive(broker)
  const metadata = await client.request(apiKeys.metadata, 5, { topics: [{ name: 'orders' }] })
  expect(metadata.topics[0]!.partitions).toHaveLength(2)

  disk.recover()
  const { errorCode, baseOffset } = await produce(client, 'orders', batchOf(['after']))
  expect(errorCode).toBe(0)
  // What was queued before is there, what was refused is not: the queue takes four of those batches.
  expect(baseOffset).toBe(4)
})

test('produce requests that wait for the disk are appended in their order once it goes on', async () => {
  const { disk, client, broker } = await world()
  disk.mode = 'hangs'
  for (let nth = 0; nth < 12; nth++) {
    const records = batchOf([`${nth} ${'x'.repeat(100 * kib)}`])
    const topicData = [{ name: 'orders', partitionData: [{ index: 0, records }] }]
    client.send(apiKeys.produce, 9, { acks: -1, timeoutMs: 20_000, topicData })
  }
  while (broker.load.waitingForDisk === 0) await new Promise((resolve) => setImmediate(resolve))
  disk.recover()
  for (let nth = 0; nth < 12; nth++) {
    const { responses } = await client.response(apiKeys.produce, 9)
    expect(responses[0]!.partitionResponses[0]).toMatchObject({ errorCode: 0, baseOffset: nth })
  }
})

test('a batch that is sent again while its first write hangs is acknowledged with it, not before', async () => {
  const { disk, client, broker } = await world()
  const { producerId } = await client.request(apiKeys.initProducerId, 4, { transactionalId: null })
  const batch = (): Uint8Array => batchOf(['once'], { producerId, producerEpoch: 0, baseSequence: 0 })
  const impatient = await RawClient.connect(broker)
  const again = await RawClient.connect(broker)
  disk.mode = 'hangs'
  const first = produce(client, 'orders', batch())
  expect(await produce(impatient, 'orders', batch(), { timeoutMs: 50 })).toMatchObject({
    errorCode: error('requestTimedOut'),
  })
  const second = produce(again, 'orders', batch())
  while (broker.load.requestsInFlight < 2) await new Promise((resolve) => setImmediate(resolve))
  disk.recover()
  expect(await first).toMatchObject({ errorCode: 0, baseOffset: 0 })
  expect(await second).toMatchObject({ errorCode: 0, baseOffset: 0 })
  expect(await produce(client, 'orders', batchOf(['next']))).toMatchObject({ errorCode: 0, baseOffset: 1 })
})

test('a full disk refuses appends with KAFKA_STORAGE_ERROR, serves reads, and goes on without a restart', async () => {
  const { disk, client } = await world()
  expect(await produce(client, 'orders', batchOf(['before']))).toMatchObject({ errorCode: 0, baseOffset: 0 })
  disk.mode = 'full'
  expect(await produce(client, 'orders', batchOf(['lost']))).toMatchObject({
    errorCode: error('kafkaStorageError'),
    baseOffset: -1,
  })
  const { topics } = await client.request(apiKeys.listOffsets, 7, {
    topics: [{ name: 'orders', partitions: [{ partitionIndex: 0, timestamp: -1 }] }],
  })
  expect(topics[0]!.partitions[0]).toMatchObject({ errorCode: 0, offset: 1 })
  disk.recover()
  let answer = await produce(client, 'orders', batchOf(['after']))
  while (answer.errorCode !== 0) answer = await produce(client, 'orders', batchOf(['after']))
  expect(answer.baseOffset).toBe(1)
})
