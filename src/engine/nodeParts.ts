import { EngineError } from '../model/errors.ts'
import { type Logger, silentLogger } from '../model/logger.ts'
import { metadataTopicId, randomUuid, zeroUuid } from '../model/uuid.ts'
import type { Voter } from '../raft.ts'
import type { Group } from '../replica/group.ts'
import { MachineRunner } from '../replica/machineRunner.ts'
import { PeerTransport } from '../replica/peerTransport.ts'
import { ReplicaHost } from '../replica/replicaHost.ts'
import type { Codecs } from '../runtime/compute.ts'
import type { Address } from '../runtime/network.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { readTextIfThere } from '../segment/checkpointFile.ts'
import { LogDirectory } from '../segment/logDirectory.ts'
import { decodeMetaProperties, metaPropertiesFile } from '../segment/metaProperties.ts'
import { maxBatchBytes } from './encodeInput.ts'
import { journalFileBytes } from './journalFileBytes.ts'
import { engineDefaults, type LogSettings, refuse } from './logSettings.ts'
import { NodeCalled } from './nodeCalled.ts'
import { CallKind } from './nodeCalls.ts'
import type { NodeChannels } from './nodeEvents.ts'
import { NodeGroups } from './nodeGroups.ts'
import { EarlyRequests } from './nodeHandler.ts'
import { type CheckedOptions, clusterIdOf, type NodeOptions } from './nodeOptions.ts'
import { NodeRegistry } from './nodeRegistry.ts'
import { NodeRouter } from './nodeRouter.ts'

/** What the composition root hands to a node. */
export interface NodeWorld {
  readonly runtime: Runtime
  readonly codecs: Codecs
  readonly channels: NodeChannels
  /** Closes the runtime, where the node is its only user. */
  close(): Promise<void>
}

/** The topic of the log that says which partitions there are. */
export const metadataTopic = '__cluster_metadata'
/** The name of the listener that nodes reach each other on. */
export const listenerName = 'CONTROLLER'
/** The registry is small: what it takes to read it again is seen at every start. */
const registrySnapshotBytes = 1 << 20
const registryKeptRecords = 1000
const askWhoTimeoutMs = 1000

/** What a node is made of. */
export interface NodeParts {
  readonly options: CheckedOptions
  readonly nodeId: number
  readonly world: NodeWorld
  readonly logger: Logger
  readonly logs: LogDirectory
  readonly host: ReplicaHost
  readonly transport: PeerTransport
  readonly address: Address
  readonly metadata: Group
  readonly router: NodeRouter
  readonly groups: NodeGroups
  readonly registry: NodeRegistry
  readonly runner: MachineRunner
  readonly called: NodeCalled
  readonly defaults: LogSettings
  readonly self: Voter
}

/** Opens everything that a node is made of, listening once this resolves. */
export async function openParts(
  options: NodeOptions,
  checked: CheckedOptions,
  defaults: LogSettings,
  world: NodeWorld,
): Promise<NodeParts> {
  const { nodeId, directory, journalDirectory, journalBytes, logger = silentLogger } = options
  const { runtime, codecs, channels } = world
  const clusterId = await findClusterId(options, checked, runtime)
  const opened: (() => Promise<unknown>)[] = []
  try {
    const logs = await LogDirectory.open(runtime, {
      directory,
      logger,
      nodeId,
      clusterId,
      configFor: () => engineDefaults.config,
      decompress: (codec, body) => codecs.decompress(codec, body, maxBatchBytes),
      ...(journalDirectory === undefined ? {} : { journalDirectory }),
      ...(journalBytes === undefined
        ? {}
        : { journalBytes, journalFileBytes: journalFileBytes(journalBytes) }),
    })
    opened.unshift(() => logs.close())
    if (logs.logs.size > 0 && !logs.logs.has(`${metadataTopic}-0`)) {
      throw new EngineError('directoryForeign', `${directory} has logs of openEngine; name another directory`)
    }
    const requests = new EarlyRequests()
    const peerOptions = { nodeId, clusterId, logger, listenerName }
    const transport = new PeerTransport(runtime, peerOptions, requests)
    opened.unshift(() => transport.close())
    const bound = await transport.listen(checked.listen)
    const ownVoter =
      checked.membership.type === 'static'
        ? checked.membership.voters.find(({ id }) => id === nodeId)
        : undefined
    const advertised = checked.advertise ?? ownVoter ?? bound
    const endpoints = [{ name: listenerName, host: advertised.host, port: advertised.port }]
    const host = await ReplicaHost.open(runtime, {
      nodeId,
      clusterId,
      endpoints,
      logs,
      logger,
      transport: (handler) => {
        requests.forwardTo(handler)
        return transport
      },
      ...(options.timeouts === undefined ? {} : { timeouts: options.timeouts }),
      ...(options.maxPendingBytes === undefined ? {} : { maxPendingBytes: options.maxPendingBytes }),
      ...(options.observer === undefined ? {} : { observer: options.observer }),
    })
    opened.unshift(() => host.close())
    const self: Voter = { id: nodeId, directoryId: logs.directoryId, endpoints, minVersion: 0, maxVersion: 1 }
    const metadata = await host.openGroup({
      topic: metadataTopic,
      partition: 0,
      topicId: metadataTopicId,
      kind: 'metadata',
      config: { ...engineDefaults.config, maxMessageBytes: 8 << 20 },
      ...beginningOf(checked, self),
    })
    const router = new NodeRouter({
      nodeId,
      clusterId,
      clock: runtime.clock,
      timeoutMs: checked.callTimeoutMs,
      call: (to, payload, timeoutMs) => transport.call(to, payload, timeoutMs),
    })
    const groups = new NodeGroups({ nodeId, host, metadata, router, logger, channels, defaults })
    const registry = new NodeRegistry()
    registry.onChange = (added) => groups.added(added)
    const runner = new MachineRunner(metadata, registry, {
      checksum: runtime.checksum,
      logger,
      name: 'the metadata log',
      kind: 'metadata',
      snapshotBytes: registrySnapshotBytes,
      keptRecords: registryKeptRecords,
      failed: (error) => logger.error('the metadata log cannot be followed', { error: error.message }),
    })
    opened.unshift(() => groups.close())
    opened.unshift(() => runner.close())
    await runner.start()
    const { directoryId } = logs
    const called = new NodeCalled({
      runtime,
      nodeId,
      clusterId,
      directoryId,
      metadata,
      groups,
      registry,
      defaults,
      askWho: async (id) =>
        (await router.ask(id, { kind: CallKind.hello, directoryId }, askWhoTimeoutMs)).directoryId,
    })
    requests.answerCalls((payload) => called.answer(payload))
    const address = { host: advertised.host, port: advertised.port }
    return {
      options: checked,
      nodeId,
      world,
      logger,
      logs,
      host,
      transport,
      address,
      metadata,
      router,
      groups,
      registry,
      runner,
      called,
      defaults,
      self,
    }
  } catch (error) {
    await inOrder(opened).catch(() => {})
    throw error
  }
}

/** The voters that the metadata log begins with, if there is nothing of it on the disk. */
function beginningOf({ membership }: CheckedOptions, self: Voter) {
  switch (membership.type) {
    case 'bootstrap':
      return { voters: [self], kraftVersion: 1 } as const
    case 'join':
      return { voters: null, kraftVersion: 1, bootstrapIds: membership.others.map(({ id }) => id) } as const
    case 'static': {
      const voters = membership.voters.map(({ id, host, port }): Voter => {
        const endpoints = [{ name: listenerName, host, port }]
        return { id, directoryId: zeroUuid, endpoints, minVersion: 0, maxVersion: 1 }
      })
      return { voters, kraftVersion: 0 } as const
    }
  }
}

async function findClusterId(
  { directory, clusterId }: NodeOptions,
  { membership }: CheckedOptions,
  { disk, random }: Runtime,
): Promise<string> {
  if (clusterId !== undefined) return clusterId
  const text = await readTextIfThere(disk, `${directory}/${metaPropertiesFile}`)
  const found = text === null ? null : decodeMetaProperties(text)
  if (found !== null) return found.clusterId
  switch (membership.type) {
    case 'static':
      return clusterIdOf(membership.voters)
    case 'bootstrap':
      return randomUuid(random)
    case 'join':
      refuse('a new node that joins needs the clusterId, which any node of the cluster has')
  }
}

/** Does all of it, whatever fails, and throws the first error. */
export async function inOrder(steps: readonly (() => Promise<unknown>)[]): Promise<void> {
  const errors: unknown[] = []
  for (const step of steps) await step().catch((error) => errors.push(error))
  if (errors.length > 0) throw errors[0]
}
