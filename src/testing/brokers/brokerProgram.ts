import { Broker } from '../../broker/broker.ts'
import { type BrokerConfig, brokerConfig } from '../../broker/brokerConfig.ts'
import { InvariantError } from '../../model/assert.ts'
import { type Logger, silentLogger } from '../../model/logger.ts'
import type { GroupObserver } from '../../replica/observer.ts'
import type { Place, Program, Running } from '../worldTypes.ts'

/** The data directory of every broker. */
export const brokerDirectory = '/data'
/** Where brokers reach each other. */
const nodePort = 9093
/** Small, so that a run goes through much of it. */
const journalBytes = 2 << 20

/** What a cluster of brokers is like. */
export interface BrokerShape {
  readonly nodes: number
  /** The first so many are controllers, too. */
  readonly controllers: number
  /** Settings of all brokers, over what is usual in a world. */
  readonly settings: Readonly<Record<string, string>>
}

/** What a node of such a cluster has open. */
export interface BrokerNode extends Running {
  readonly broker: Broker
}

/** The broker as it is shipped, in cluster mode. */
export function brokerProgram(
  shape: BrokerShape,
  observer: (node: number) => GroupObserver,
  logger: (node: number) => Logger = () => silentLogger,
): Program<BrokerNode> {
  return async ({ node, nodeId, runtime }: Place<BrokerNode>): Promise<BrokerNode> => {
    const { session } = node
    const broker = await Broker.start(runtime, settingsOf(shape, nodeId), logger(nodeId), {
      observer: observer(nodeId),
      lost(error) {
        // `serve` ends then, and its supervisor starts it again.
        if (error.cause instanceof InvariantError) void Promise.reject(error.cause)
        if (node.session === session) node.exit(error)
      },
    })
    return { broker, close: () => broker.close() }
  }
}

function settingsOf({ controllers, settings }: BrokerShape, nodeId: number): BrokerConfig {
  const host = `node-${nodeId}`
  const voters = Array.from(
    { length: controllers },
    (_, index) => `${index + 1}@node-${index + 1}:${nodePort}`,
  )
  const config = brokerConfig(
    {
      'process.roles': nodeId <= controllers ? 'broker,controller' : 'broker',
      'node.id': String(nodeId),
      listeners: `PLAINTEXT://${host}:9092,CONTROLLER://${host}:${nodePort}`,
      'controller.quorum.voters': voters.join(','),
      'log.dirs': brokerDirectory,
      'default.replication.factor': '3',
      'offsets.topic.num.partitions': '1',
      'log.segment.bytes': '65536',
      'auto.create.topics.enable': 'false',
      'group.min.session.timeout.ms': '100',
      'group.initial.rebalance.delay.ms': '100',
      // Replicas that found no room are opened then.
      'log.flush.offset.checkpoint.interval.ms': '5000',
      // Clocks jump by years.
      'log.message.timestamp.after.max.ms': String(Number.MAX_SAFE_INTEGER),
      ...settings,
    },
    { hostName: host },
  )
  return {
    ...config,
    number: (name) => (name === 'cordwood.journal.bytes' ? journalBytes : config.number(name)),
  }
}
