import { describe, expect, test } from 'vitest'
import { silentLogger } from '../../src/model/logger.ts'
import { defaultLogConfig } from '../../src/segment/logConfig.ts'
import { LogDirectory } from '../../src/segment/logDirectory.ts'
import { orderNewBeginning, readNewBeginning } from '../../src/segment/newBeginning.ts'
import { World } from '../../src/testing/world.ts'
import type { Running } from '../../src/testing/worldTypes.ts'

interface Directory extends Running {
  readonly logs: LogDirectory
}

const topicId = 'd29ybGRzLXRvcGljLWlk0w'
const clusterId = 'simulated-cluster-wood'
const others = [{ id: 2, host: 'node-2', port: 9093 }]

/** One node with a data directory, whose journal may be elsewhere. */
function newWorld(journalDirectory: string | null) {
  const world = new World<Directory>({
    seed: 1,
    nodes: 1,
    faults: [],
    program: async ({ runtime }) => {
      const logs = await LogDirectory.open(runtime, {
        directory: '/data',
        ...(journalDirectory === null ? {} : { journalDirectory }),
        logger: silentLogger,
        nodeId: 1,
        clusterId,
        journalBytes: 256 << 10,
        journalFileBytes: 64 << 10,
        configFor: () => defaultLogConfig,
      })
      return { logs, close: () => logs.close() }
    },
  })
  const node = world.node(1)
  const open = async (): Promise<LogDirectory> => {
    node.start()
    await world.runUntil(() => node.running !== null, 10_000)
    return node.running!.logs
  }
  const names = (path: string): string[] => node.fs.list(path).map(({ name }) => name)
  return { world, node, open, names }
}

async function ordered(journalDirectory: string | null) {
  const made = newWorld(journalDirectory)
  const { world, node, open } = made
  const logs = await open()
  await world.settle(logs.createLog('t', 0, topicId, defaultLogConfig))
  const { directoryId } = logs
  const reason = 'for a test'
  await world.settle(orderNewBeginning(node.runtime!, '/data', { reason, clusterId, nodeId: 1, others }))
  return { ...made, directoryId }
}

describe('a directory that was ordered to begin anew', () => {
  test.each([null, '/journal'])(
    'has all that was there aside, and another id (journal in %s)',
    async (place) => {
      const { world, node, open, names, directoryId } = await ordered(place)
      node.kill()
      const logs = await open()
      expect(logs.logs.size).toBe(0)
      expect(logs.directoryId).not.toBe(directoryId)
      expect(logs.clusterId).toBe(clusterId)
      const aside = names('/data').find((name) => name.startsWith('.set-aside.'))!
      expect(names(`/data/${aside}`)).toEqual(expect.arrayContaining(['t-0', 'meta.properties']))
      const journalAside = place === null ? `/data/${aside}/.journal` : `/journal/${aside}`
      expect(names(journalAside)).toContain('checkpoint-0')
      expect(await world.settle(readNewBeginning(node.runtime!, '/data'))).toMatchObject({
        state: 'done',
        others,
      })
    },
  )

  test('keeps its new id from then on, and what is aside for a week', async () => {
    const { world, node, open, names } = await ordered(null)
    node.kill()
    const { directoryId } = await open()
    node.kill()
    expect((await open()).directoryId).toBe(directoryId)
    const count = (): number => names('/data').filter((name) => name.startsWith('.set-aside.')).length
    expect(count()).toBe(1)
    await world.advance(8 * 86_400_000)
    expect(count()).toBe(0)
  })

  test('keeps one set of old files, the latest', async () => {
    const { world, node, open, names } = await ordered(null)
    node.kill()
    await open()
    const order = { reason: 'again', clusterId, nodeId: 1, others }
    await world.settle(orderNewBeginning(node.runtime!, '/data', order))
    node.kill()
    await open()
    expect(names('/data').filter((name) => name.startsWith('.set-aside.'))).toHaveLength(1)
  })

  test('gets there whenever the power goes on the way', async () => {
    for (let calls = 1, isOver = false; !isOver; calls += 1) {
      const { world, node, open, names, directoryId } = await ordered(null)
      node.kill()
      let left = calls
      let hasEnded = false
      node.onStart = () => {
        node.onStart = null
        node.trouble.onCall = () => {
          if (--left > 0) return
          hasEnded = true
          node.trouble.onCall = null
          node.crash(0, 'journalled')
        }
      }
      node.start()
      await world.runUntil(() => hasEnded || node.running !== null, 10_000)
      node.trouble.onCall = null
      isOver = !hasEnded
      const logs = isOver ? node.running!.logs : await open()
      expect(logs.logs.size).toBe(0)
      expect(names('/data').filter((name) => name.startsWith('.set-aside.'))).toHaveLength(1)
      expect((await world.settle(readNewBeginning(node.runtime!, '/data')))?.state).toBe('done')
      const aside = names('/data').find((name) => name.startsWith('.set-aside.'))!
      const meta = await world.settle(node.runtime!.disk.readFile(`/data/${aside}/meta.properties`))
      expect(Buffer.from(meta).toString()).toContain(`directory.id=${directoryId}`)
    }
  })
})
