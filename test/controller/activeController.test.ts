import { expect, test } from 'vitest'
import { ActiveController } from '../../src/controller/activeController.ts'
import { ImageMachine } from '../../src/controller/imageMachine.ts'
import { noConfigs } from '../../src/controller/topicConfigs.ts'
import type { Group } from '../../src/replica/group.ts'
import type { GroupAppendOptions, GroupListener } from '../../src/replica/groupTypes.ts'
import type { MachineRunner } from '../../src/replica/machineRunner.ts'
import { NotLeaderError } from '../../src/replica/notLeader.ts'
import { BatchHeader } from '../../src/segment/recordBatch.ts'
import { SimFileSystem } from '../../src/testing/simFileSystem.ts'
import { createSimRuntime } from '../../src/testing/simRuntime.ts'

/** A group that commits at once, and lets a test do something between a decision and its append. */
class QuickGroup {
  state = 'leader'
  leaderEpoch = 4
  leaderId = 1
  readonly log = { logEndOffset: 0, config: { maxMessageBytes: 1 << 20 } }
  /** Records of the group that wait until the log takes them. */
  waiting = 0
  readonly appended: GroupAppendOptions[] = []
  reads = 0
  beforeAppend: () => void = () => {}
  readonly machine = new ImageMachine('test-cluster', () => {})
  #listener: GroupListener = {}

  watch(listener: GroupListener): () => void {
    this.#listener = listener
    return () => {}
  }

  become(state: 'leader' | 'follower', leaderEpoch: number): void {
    Object.assign(this, { state, leaderEpoch, leaderId: state === 'leader' ? 1 : 2 })
    this.#listener.leadership?.(state, leaderEpoch, this.leaderId)
  }

  endOfEpoch(epoch: number) {
    return { epoch, endOffset: this.log.logEndOffset + this.waiting }
  }

  async readIndex(): Promise<number> {
    this.reads++
    return this.log.logEndOffset
  }

  async append(bytes: Uint8Array, options: GroupAppendOptions) {
    this.beforeAppend()
    if (this.state !== 'leader' || options.leaderEpoch !== this.leaderEpoch) throw new NotLeaderError(-1)
    this.appended.push(options)
    for (let at = 0; at < bytes.length; ) {
      const header = new BatchHeader(bytes, at)
      this.machine.apply(header, bytes.subarray(at, at + header.sizeBytes))
      this.log.logEndOffset += header.lastOffsetDelta + 1
      at += header.sizeBytes
    }
    return {
      baseOffset: 0,
      lastOffset: this.log.logEndOffset - 1,
      leaderEpoch: this.leaderEpoch,
      duplicate: false,
    }
  }
}

function controller() {
  const group = new QuickGroup()
  const waited: number[] = []
  const whenApplied = async (offset: number) => void waited.push(offset)
  const runner = { whenApplied, applied: 0 } as unknown as MachineRunner
  const active = new ActiveController({
    runtime: createSimRuntime(new SimFileSystem()),
    logger: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    group: group as unknown as Group,
    machine: group.machine,
    runner,
    context: () => ({ broker: noConfigs, elects: true }),
    activeChanged: () => {},
  })
  return { group, active, waited }
}

const ids = { type: 'allocateProducerIds', brokerId: 1 } as const

test('what is decided in one epoch is never written in another, even when this node leads again', async () => {
  const { group, active } = controller()
  await active.run(ids)
  expect(group.appended).toEqual([
    { acks: 'all', leaderEpoch: 4 },
    { acks: 'all', leaderEpoch: 4 },
  ])
  group.beforeAppend = () => {
    group.beforeAppend = () => {}
    group.become('follower', 5)
    group.become('leader', 6)
  }
  await expect(active.run(ids)).rejects.toBeInstanceOf(NotLeaderError)
  const { result } = await active.run(ids)
  expect(result).toEqual({ first: 1000, count: 1000 })
  expect(group.appended.at(-1)).toEqual({ acks: 'all', leaderEpoch: 6 })
})

test('an answer without a change is given only once the cluster has confirmed that this node still leads', async () => {
  const { group, active } = controller()
  const before = group.reads
  await active.run(ids, true)
  await active.run({ type: 'reportPartitions', states: [] })
  expect(group.reads).toBe(before + 2)
})

test('a new leader waits for all that its group has, also for what the log does not have yet', async () => {
  const { group, active, waited } = controller()
  await active.run(ids)
  group.become('follower', 5)
  group.waiting = 7
  group.become('leader', 6)
  await active.whenReady()
  expect(waited.at(-1)).toBe(group.log.logEndOffset + 7)
})

test('a node that does not lead decides nothing', async () => {
  const { group, active } = controller()
  group.become('follower', 5)
  await expect(active.run(ids)).rejects.toMatchObject({ leaderId: 2 })
  await expect(active.whenReady()).rejects.toBeInstanceOf(NotLeaderError)
  expect(active.isActive).toBe(false)
})
