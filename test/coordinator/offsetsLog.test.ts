import { afterEach, beforeEach, expect, test } from 'vitest'
import { GroupCoordinator } from '../../src/coordinator/groupCoordinator.ts'
import { LocalOffsets } from '../../src/coordinator/logReign.ts'
import type { OffsetFetchResponse } from '../../src/coordinator/messages.ts'
import { offsetsLogConfig } from '../../src/coordinator/offsetsLog.ts'
import { silentLogger } from '../../src/model/logger.ts'
import { createNodeRuntime } from '../../src/runtime/node/nodeRuntime.ts'
import type { Runtime } from '../../src/runtime/runtime.ts'
import { Log } from '../../src/segment/log.ts'
import { readRecords } from '../../src/segment/records.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { bytes, subscription } from './support/groupWorld.ts'

let directory: string
let runtime: Runtime
let log: Log
let coordinator: GroupCoordinator

/** A log as a broker that was killed would find it: what is written is there, nothing else is known. */
async function open(): Promise<void> {
  runtime = createNodeRuntime()
  log = await Log.open(runtime, {
    directory,
    topicId: 'AAAAAAAAAAAAAAAAAAAACA',
    config: { ...offsetsLogConfig, segmentBytes: 64 * 1024 },
    logger: silentLogger,
    recoveryPoint: 0,
    logStartOffset: 0,
    cleanShutdown: false,
    producerIdExpirationMs: 86_400_000,
  })
  coordinator = new GroupCoordinator(runtime, {
    logger: silentLogger,
    config: { groupInitialRebalanceDelayMs: 0, offsetsLogBytes: 100_000 },
    offsets: new LocalOffsets(runtime, { partitionCount: () => 1, log: () => log }),
  })
  await coordinator.start()
}

async function close(): Promise<void> {
  await coordinator.close()
  await log.close({ clean: false })
  await runtime.disk.close()
}

beforeEach(async () => {
  directory = temporaryDirectory()
  await open()
})

afterEach(close)

const context = { apiVersion: 7, clientId: 'client', clientHost: '127.0.0.1' }

async function joinAndSync(): Promise<string> {
  const { memberId } = await coordinator.joinGroup(
    {
      groupId: 'g',
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 60_000,
      memberId: '',
      groupInstanceId: 'static',
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: subscription('t') }],
      reason: null,
    },
    context,
  )
  const common = {
    groupId: 'g',
    generationId: 1,
    memberId,
    groupInstanceId: 'static',
    protocolType: null,
    protocolName: null,
  }
  await coordinator.syncGroup({ ...common, assignments: [{ memberId, assignment: bytes('mine') }] })
  return memberId
}

async function commit(offset: number, groupId = 'simple', partition = 0): Promise<number> {
  const entry = {
    partitionIndex: partition,
    committedOffset: offset,
    committedLeaderEpoch: 0,
    committedMetadata: null,
  }
  const response = await coordinator.commitOffsets(
    {
      groupId,
      generationIdOrMemberEpoch: -1,
      memberId: '',
      groupInstanceId: null,
      retentionTimeMs: -1,
      topics: [{ name: 't', partitions: [entry] }],
    },
    context,
  )
  return response.topics[0]!.partitions[0]!.errorCode
}

function committed(groupId = 'simple', partition = 0): number | undefined {
  const topics = [{ name: 't', partitionIndexes: [partition] }]
  const response = coordinator.fetchOffsets({ groups: [{ groupId, topics }], requireStable: false })
  const { groups } = response as OffsetFetchResponse
  return groups[0]!.topics[0]!.partitions[0]!.committedOffset
}

test('members, assignments and offsets are read back from a real log', async () => {
  const memberId = await joinAndSync()
  expect(await commit(42)).toBe(0)
  await close()
  await open()
  const beat = { groupId: 'g', generationId: 1, memberId, groupInstanceId: 'static' }
  expect((await coordinator.heartbeat(beat)).errorCode).toBe(0)
  const [group] = coordinator.describeGroups({ groups: ['g'] }, context).groups
  expect(group!.members[0]).toMatchObject({ memberId, groupInstanceId: 'static', clientHost: '/127.0.0.1' })
  expect(Buffer.from(group!.members[0]!.memberAssignment).toString()).toBe('mine')
  expect(committed()).toBe(42)
})

test('the log stays bounded however often offsets are committed, and keeps what is live', async () => {
  const memberId = await joinAndSync()
  expect(await commit(7, 'quiet')).toBe(0)
  for (let round = 0; round < 60; round++) {
    await Promise.all(Array.from({ length: 50 }, (_, partition) => commit(round, 'busy', partition)))
  }
  expect(log.logEndOffset).toBeGreaterThan(3_000)
  expect(log.logStartOffset).toBeGreaterThan(0)
  expect(log.sizeBytes).toBeLessThan(250_000)
  const start = log.logStartOffset
  await close()
  await open()
  expect(start).toBeGreaterThan(0)
  expect([committed('quiet'), committed('busy', 0), committed('busy', 49)]).toEqual([7, 59, 59])
  const beat = { groupId: 'g', generationId: 1, memberId, groupInstanceId: 'static' }
  expect((await coordinator.heartbeat(beat)).errorCode).toBe(0)
})

test('the records are those of Kafka, byte for byte', async () => {
  await commit(42, 'g', 3)
  const found = await log.read(0, 1_000_000, log.logEndOffset, true)
  const stored = new Uint8Array(found!.lengthBytes)
  await runtime.disk.file(found!.ranges[0]!.file.path).read(stored, found!.ranges[0]!.position)
  const [record] = [...readRecords(stored)]
  // OffsetCommitKey 1: version, group, topic, partition. OffsetCommitValue 3: version, offset, leader epoch, metadata, time.
  expect(Buffer.from(record!.key!).toString('hex')).toBe('0001' + '0001' + '67' + '0001' + '74' + '00000003')
  expect(Buffer.from(record!.value!).toString('hex').slice(0, 32)).toBe(
    '0003' + '000000000000002a' + '00000000' + '0000',
  )
})
