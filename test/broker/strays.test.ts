import { cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { expect, test } from 'vitest'
import { apiKeys } from '../../src/protocol/apiKeys.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { batchOf, createTopic, produce } from './support/produce.ts'
import { RawClient, type RunOptions, runBroker } from './support/runningBroker.ts'

const firstSegment = '00000000000000000000.log'

async function world(options: RunOptions = {}) {
  const running = await runBroker(options)
  return { ...running, client: await RawClient.connect(running.broker) }
}

/** A data directory with the records of a topic, and with metadata that have never heard of it. */
async function directoryWithStray(topic: string): Promise<{ directory: string; records: Buffer }> {
  const { client, directory, close } = await world()
  await createTopic(client, topic)
  await produce(client, topic, batchOf(['not to be lost']))
  await close()
  renameSync(`${directory}/__cluster_metadata-0`, `${temporaryDirectory()}/moved`)
  // The journal knows the metadata log; without it nobody does.
  for (const name of ['.journal', '.cordwood_journal']) rmSync(`${directory}/${name}`, { recursive: true })
  return { directory, records: readFileSync(`${directory}/${topic}-0/${firstSegment}`) }
}

async function startOf(client: RawClient, name: string): Promise<number> {
  const body = { topics: [{ name, partitions: [{ partitionIndex: 0, timestamp: -2 }] }] }
  return (await client.request(apiKeys.listOffsets, 7, body)).topics[0]!.partitions[0]!.offset
}

test('a log that belongs to no topic survives that a topic of its name is made', async () => {
  const { directory, records } = await directoryWithStray('precious')
  const { client, logger } = await world({ directory })
  expect(logger.lines).toContain('warn a log belongs to no topic; it is kept and not served')
  await createTopic(client, 'precious')
  expect(await produce(client, 'precious', batchOf(['new']))).toMatchObject({ errorCode: 0, baseOffset: 0 })
  const names = readdirSync(directory)
  expect(names.filter((name) => name.endsWith('-delete'))).toEqual([])
  const strays = names.filter((name) => /^precious-0\.[0-9a-f]{32}-stray$/.test(name))
  expect(strays).toHaveLength(1)
  expect(readFileSync(`${directory}/${strays[0]}/${firstSegment}`)).toEqual(records)
})

test('retention takes nothing from a log that belongs to no topic', async () => {
  const { directory, records } = await directoryWithStray('precious')
  const settings = { 'log.retention.ms': '1', 'log.retention.check.interval.ms': '10' }
  const { client, close } = await world({ directory, settings })
  await createTopic(client, 'control')
  // The second time, the round that took the first has ended.
  for (const start of [1, 2]) {
    await produce(client, 'control', batchOf(['to be lost']))
    await expect.poll(() => startOf(client, 'control')).toBe(start)
  }
  // Files go a while after retention has decided, at the latest now.
  await close()
  expect(readFileSync(`${directory}/precious-0/${firstSegment}`)).toEqual(records)
})

test('the log of a topic that was deleted is removed at the next start when the broker died before', async () => {
  const { client, directory, close } = await world()
  await createTopic(client, 'orders')
  await produce(client, 'orders', batchOf(['a']))
  const copy = `${temporaryDirectory()}/copy`
  cpSync(`${directory}/orders-0`, copy, { recursive: true })
  await client.request(apiKeys.deleteTopics, 5, { topicNames: ['orders'] })
  await close()
  cpSync(copy, `${directory}/orders-0`, { recursive: true })
  const again = await world({ directory })
  expect(existsSync(`${directory}/orders-0`)).toBe(false)
  expect(again.logger.lines).toContain('info removing the log of a topic that was deleted')
  await createTopic(again.client, 'orders')
  expect(await produce(again.client, 'orders', batchOf(['b']))).toMatchObject({ errorCode: 0, baseOffset: 0 })
})
