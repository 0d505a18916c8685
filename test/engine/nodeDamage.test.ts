import { describe, expect, test } from 'vitest'
import type { Node } from '../../src/engine/node.ts'
import type { StateMachine } from '../../src/index.ts'
import type { SimFileSystem } from '../../src/testing/simFileSystem.ts'
import { Machines } from './nodeSupport.ts'

/** How many commands there were. */
class Count implements StateMachine<number> {
  count = 0

  apply(): number {
    return ++this.count
  }

  snapshot(): string {
    return String(this.count)
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const chunk of chunks) this.count = Number(Buffer.from(chunk).toString())
  }
}

/** A node alone that has a snapshot of 5 commands, and nothing else of them, closed again. */
async function closedNode(): Promise<{ machines: Machines; fs: SimFileSystem; start(): Promise<Node> }> {
  const machines = await Machines.start(1)
  const start = (): Promise<Node> => machines.node(1, { bootstrap: true, callTimeoutMs: 2000 })
  const node = await start()
  const machine = node.stateMachine('count', new Count(), { keptRecords: 0 })
  for (let index = 0; index < 5; index++) await machine.propose('one')
  await machine.takeSnapshot()
  await node.partition('orders').append({ value: 'a' })
  await node.close()
  return { machines, fs: machines.world.node(1).fs, start }
}

function filesBelow(fs: SimFileSystem, directory: string, pattern: RegExp): string[] {
  return fs.list(directory).flatMap(({ name, kind }) => {
    const path = `${directory}/${name}`
    if (kind === 'directory') return filesBelow(fs, path, pattern)
    return pattern.test(path) ? [path] : []
  })
}

function flip(fs: SimFileSystem, path: string, position: number): void {
  const bytes = fs.contentOf(path)
  const at = position < 0 ? bytes.length + position : position
  fs.write(fs.fileAt(path), at, Uint8Array.of(bytes[at]! ^ 0x10))
}

describe('a snapshot of a machine', () => {
  test.each<[string, (fs: SimFileSystem, path: string) => void]>([
    ['has a bit that is wrong', (fs, path) => flip(fs, path, 100)],
    ['has lost its end', (fs, path) => fs.truncate(fs.fileAt(path), fs.contentOf(path).length - 20)],
    ['is empty', (fs, path) => fs.truncate(fs.fileAt(path), 0)],
    ['is gone', (fs, path) => fs.unlink(path)],
    ['is one of another epoch', (fs, path) => fs.rename(path, path.replace('-0000000001.', '-0000000002.'))],
  ])('that %s is refused, and what else there is goes on', async (_, damage) => {
    const { fs, start } = await closedNode()
    const [path] = filesBelow(fs, '/data/count-0', /checkpoint$/)
    damage(fs, path!)
    const node = await start()
    const state = new Count()
    await expect(node.stateMachine('count', state).ready()).rejects.toMatchObject({ code: 'corruptLog' })
    expect(state.count).toBe(0)
    const ack = await node.partition('orders').append({ value: 'b' })
    expect(ack.baseOffset).toBe(1)
  })

  test('that is whole is taken up', async () => {
    const { start } = await closedNode()
    const state = new Count()
    const machine = (await start()).stateMachine('count', state)
    expect(await machine.propose('one')).toBe(6)
  })
})

describe('what a node knows of votes and epochs', () => {
  test('survives damage to one of its two copies', async () => {
    const { fs, start } = await closedNode()
    const [first] = filesBelow(fs, '/data/.journal', /checkpoint/)
    flip(fs, first!, 40)
    const node = await start()
    const state = new Count()
    expect(await node.stateMachine('count', state).propose('one')).toBe(6)
  })

  test('is not made up when both copies are damaged', async () => {
    const { fs, start } = await closedNode()
    for (const path of filesBelow(fs, '/data/.journal', /checkpoint/)) flip(fs, path, 40)
    await expect(start()).rejects.toMatchObject({ code: 'corruptLog' })
  })

  test('is not made up when the journal is gone', async () => {
    const { fs, start } = await closedNode()
    for (const path of filesBelow(fs, '/data/.journal', /./)) fs.unlink(path)
    await expect(start()).rejects.toMatchObject({ code: 'corruptLog' })
  })
})

describe('a directory', () => {
  test('of another node or another cluster is refused', async () => {
    const { machines } = await closedNode()
    await expect(machines.node(1, { nodeId: 2, bootstrap: true })).rejects.toMatchObject({
      code: 'directoryForeign',
    })
    await expect(
      machines.node(1, { bootstrap: true, clusterId: 'AAAAAAAAAAAAAAAAAAAAAw' }),
    ).rejects.toMatchObject({ code: 'directoryForeign' })
  })

  test('that a node has open is refused, and so is its address', async () => {
    const machines = await Machines.start(1)
    await machines.node(1, { bootstrap: true })
    await expect(machines.node(1, { bootstrap: true })).rejects.toMatchObject({ code: 'directoryLocked' })
    await expect(machines.node(1, { bootstrap: true, directory: '/other' })).rejects.toMatchObject({
      code: 'addressInUse',
    })
    // Nothing of it was left open.
    await machines.node(1, { bootstrap: true, directory: '/other', listen: 'node-1:9093' })
  })
})
