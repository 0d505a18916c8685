import { expect, onTestFinished, test } from 'vitest'
import { EngineError } from '../../src/model/errors.ts'
import { KafkaError } from '../../src/model/kafkaErrors.ts'
import { apiKeys } from '../../src/protocol/apiKeys.ts'
import type { Disk, DiskWrite } from '../../src/runtime/disk.ts'
import { createNodeRuntime } from '../../src/runtime/node/nodeRuntime.ts'
import type { Runtime } from '../../src/runtime/runtime.ts'
import { batchOf, createTopic, produce } from './support/produce.ts'
import { RawClient, runBroker } from './support/runningBroker.ts'

const kib = 1024

/** A disk that lends memory and, while it is `slow`, reads what was submitted of requests only when a test lets it. */
class LendingDisk {
  readonly runtime: Runtime
  isSlow = false
  fails = false
  /** Writes whose bytes were changed before they were read. */
  changed = 0
  #held: (() => void)[] = []

  constructor() {
    const inner = createNodeRuntime()
    const disk = new Proxy(inner.disk, {
      get: (target, name) => {
        if (name === 'lend') return (sizeBytes: number) => new Uint8Array(sizeBytes)
        if (name === 'submit') return (group: readonly DiskWrite[]) => this.#submit(target, group)
        const value = Reflect.get(target, name, target) as unknown
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    this.runtime = { ...inner, disk }
    onTestFinished(() => this.goOn())
  }

  /** How many groups it has not looked at. */
  get held(): number {
    return this.#held.length
  }

  goOn(): void {
    this.isSlow = false
    for (const go of this.#held.splice(0)) go()
  }

  async #submit(target: Disk, group: readonly DiskWrite[]): Promise<void> {
    if (!this.isSlow || !group.some(hasRecords)) return target.submit(group)
    const copies = group.map(({ parts }) => Buffer.concat(parts))
    await new Promise<void>((resolve) => this.#held.push(resolve))
    for (const [index, { parts }] of group.entries()) {
      // What is small is in no lent memory.
      const bytes = Buffer.concat(parts)
      if (bytes.length > 64 * kib && !bytes.equals(copies[index]!)) this.changed++
    }
    if (this.fails) throw new EngineError('diskFailed', 'input/output error')
    return target.submit(group.map((write, index) => ({ ...write, parts: [copies[index]!] })))
  }
}

/** Whether it is of a request: the journal writes small frames, and files of little but zeros, whenever it likes. */
function hasRecords({ parts }: DiskWrite): boolean {
  return Buffer.concat(parts).filter((byte) => byte !== 0).length > 32 * kib
}

async function world(policy: string) {
  const disk = new LendingDisk()
  const { broker } = await runBroker({
    runtime: disk.runtime,
    settings: { 'cordwood.flush.policy': policy },
  })
  const client = await RawClient.connect(broker)
  await createTopic(client, 'orders')
  const until = async (isSo: () => boolean): Promise<void> => {
    while (!isSo()) await new Promise((resolve) => setImmediate(resolve))
  }
  return { disk, client, broker, until }
}

const large = (nth: number): Uint8Array => batchOf([String(nth).repeat(100 * kib)])

test.each(['journal', 'none', 'batch'])(
  'memory of large requests stays as it is until the segments are written (%s)',
  async (policy) => {
    const { disk, client, broker, until } = await world(policy)
    disk.isSlow = true
    // They time out long before they are written: each would get the memory of the one before.
    for (let nth = 0; nth < 6; nth++) {
      const answer = await produce(client, 'orders', large(nth), { timeoutMs: 1 })
      expect(answer.errorCode).toBe(KafkaError.requestTimedOut.kafka)
    }
    expect(broker.load.requestBytes).toBeGreaterThan(600 * kib)
    disk.goOn()
    await until(() => broker.load.requestBytes === 0)
    expect(disk.changed).toBe(0)
    expect(await produce(client, 'orders', batchOf(['next']))).toMatchObject({ errorCode: 0, baseOffset: 6 })
  },
)

test('so does that of requests which are not answered, whose client has gone', async () => {
  const { disk, client, broker, until } = await world('none')
  disk.isSlow = true
  for (let nth = 0; nth < 4; nth++) {
    const topicData = [{ name: 'orders', partitionData: [{ index: 0, records: large(nth) }] }]
    client.send(apiKeys.produce, 9, { acks: 0, timeoutMs: 1000, topicData })
  }
  await until(() => disk.held === 4)
  expect(broker.load.requestBytes).toBeGreaterThan(400 * kib)
  client.socket.destroy()
  await until(() => broker.load.connections === 0)
  const other = await RawClient.connect(broker)
  const late = produce(other, 'orders', large(4))
  await until(() => disk.held === 5)
  disk.goOn()
  expect(await late).toMatchObject({ errorCode: 0, baseOffset: 4 })
  await until(() => broker.load.requestBytes === 0)
  expect(disk.changed).toBe(0)
})

test('small requests hold no memory while the disk works', async () => {
  const { disk, client, broker, until } = await world('none')
  disk.isSlow = true
  const answered = produce(client, 'orders', batchOf(['x'.repeat(60 * kib)]))
  await until(() => disk.held === 1)
  expect(broker.load.requestBytes).toBe(0)
  disk.goOn()
  expect(await answered).toMatchObject({ errorCode: 0, baseOffset: 0 })
})

test('memory is given back after a write that fails, and when nothing of a request is written', async () => {
  const { disk, client, broker, until } = await world('none')
  expect(await produce(client, 'orders', large(1), { index: 7 })).not.toMatchObject({ errorCode: 0 })
  expect(broker.load.requestBytes).toBe(0)
  disk.isSlow = true
  disk.fails = true
  const failed = produce(client, 'orders', large(1))
  await until(() => disk.held === 1)
  disk.goOn()
  expect(await failed).toMatchObject({ errorCode: KafkaError.kafkaStorageError.kafka, baseOffset: -1 })
  await until(() => broker.load.requestBytes === 0)
  expect(disk.changed).toBe(0)
})
