import { EngineError } from '../model/errors.ts'
import { type Logger, silentLogger } from '../model/logger.ts'
import { randomUuid } from '../model/uuid.ts'
import { MachineRunner } from '../replica/machineRunner.ts'
import { GroupCalls } from '../replica/nodes/groupCalls.ts'
import { clusterIdOf } from '../replica/nodes/nodeAddress.ts'
import {
  inOrder,
  knownClusterId,
  metadataTopic,
  type NodeBase,
  openNodeBase,
} from '../replica/nodes/nodeBase.ts'
import { CallKind } from '../replica/nodes/nodeCalls.ts'
import type { Codecs } from '../runtime/compute.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { maxBatchBytes } from './encodeInput.ts'
import { journalOptions } from './journalOptions.ts'
import { engineDefaults, type LogSettings, refuse } from './logSettings.ts'
import { NodeCalled } from './nodeCalled.ts'
import type { NodeChannels } from './nodeEvents.ts'
import { NodeGroups } from './nodeGroups.ts'
import type { CheckedOptions, NodeOptions } from './nodeOptions.ts'
import { NodeRegistry } from './nodeRegistry.ts'
import { NodeUpkeep } from './nodeUpkeep.ts'

/** What the composition root hands to a node. */
export interface NodeWorld {
  readonly runtime: Runtime
  readonly codecs: Codecs
  readonly channels: NodeChannels
  /** Closes the runtime, where the node is its only user. */
  close(): Promise<void>
}

/** The name of the listener that nodes reach each other on. */
export const listenerName = 'CONTROLLER'
/** The registry is small: what it takes to read it again is seen at every start. */
const registrySnapshotBytes = 1 << 20
const registryKeptRecords = 1000
const askWhoTimeoutMs = 1000
const defaultScrubBytesPerSecond = 8 << 20

/** What a node is made of. */
export interface NodeParts extends NodeBase {
  readonly options: CheckedOptions
  readonly world: NodeWorld
  readonly logger: Logger
  readonly groups: NodeGroups
  readonly registry: NodeRegistry
  readonly runner: MachineRunner
  readonly called: NodeCalled
  readonly upkeep: NodeUpkeep
  readonly defaults: LogSettings
  /** Why the node cannot go on, as soon as it is known. */
  readonly trouble: { error: EngineError | null; tell(error: EngineError): void }
}

/** Opens everything that a node is made of, listening once this resolves. */
export async function openParts(
  options: NodeOptions,
  checked: CheckedOptions,
  defaults: LogSettings,
  world: NodeWorld,
): Promise<NodeParts> {
  const { nodeId, directory, logger = silentLogger } = options
  const { runtime, codecs, channels } = world
  const clusterId = await findClusterId(options, checked, runtime)
  const opened: (() => Promise<unknown>)[] = []
  const trouble: NodeParts['trouble'] = {
    error: null,
    tell: (error) => {
      trouble.error = error
    },
  }
  try {
    const base = await openNodeBase(
      {
        runtime,
        logger,
        nodeId,
        clusterId,
        logs: {
          directory,
          configFor: () => engineDefaults.config,
          decompress: (codec, body) => codecs.decompress(codec, body, maxBatchBytes),
          ...journalOptions(options),
        },
        listenerName,
        listen: checked.listen,
        advertise: checked.advertise,
        membership: checked.membership,
        metadataConfig: { ...engineDefaults.config, maxMessageBytes: 8 << 20 },
        callTimeoutMs: checked.callTimeoutMs,
        timeouts: options.timeouts,
        maxPendingBytes: options.maxPendingBytes,
        observer: options.observer,
        mustBeginAnew: (error) => trouble.tell(error),
        checkLogs: (logs) => {
          if (logs.logs.size === 0 || logs.logs.has(`${metadataTopic}-0`)) return
          throw new EngineError(
            'directoryForeign',
            `${directory} has logs of openEngine; name another directory`,
          )
        },
      },
      opened,
    )
    const { logs, host, metadata, router } = base
    const upkeep = new NodeUpkeep({
      runtime,
      logs,
      logger,
      scrubBytesPerSecond: options.scrubBytesPerSecond ?? defaultScrubBytesPerSecond,
      partitions: () => groups.open,
    })
    const groups: NodeGroups = new NodeGroups({
      nodeId,
      host,
      logs,
      metadata,
      router,
      logger,
      channels,
      defaults,
      opened: (partition) => upkeep.opened(partition),
    })
    const registry = new NodeRegistry()
    registry.onChange = (added, removed) => {
      groups.removed(removed)
      groups.added(added)
    }
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
    const called = new NodeCalled({ runtime, metadata, registry, defaults })
    const calls = new GroupCalls({
      checksum: runtime.checksum,
      nodeId,
      clusterId,
      directoryId,
      metadata,
      find: (key) => groups.get(key)?.group ?? null,
      askWho: async (id) =>
        (await router.ask(id, { kind: CallKind.hello, directoryId }, askWhoTimeoutMs)).directoryId,
      other: (request) => called.other(request),
    })
    base.requests.answerCalls((payload) => calls.answer(payload))
    return {
      ...base,
      options: checked,
      world,
      logger,
      groups,
      registry,
      runner,
      called,
      upkeep,
      defaults,
      trouble,
    }
  } catch (error) {
    await inOrder(opened).catch(() => {})
    throw error
  }
}

async function findClusterId(
  { directory, clusterId }: NodeOptions,
  { membership }: CheckedOptions,
  runtime: Runtime,
): Promise<string> {
  if (clusterId !== undefined) return clusterId
  const found = await knownClusterId(runtime, directory)
  if (found !== null) return found
  switch (membership.type) {
    case 'static':
      return clusterIdOf(membership.voters)
    case 'bootstrap':
      return randomUuid(runtime.random)
    case 'join':
      refuse('a new node that joins needs the clusterId, which any node of the cluster has')
  }
}
