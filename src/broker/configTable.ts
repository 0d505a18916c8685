/** How the text of a setting is read. */
export type ConfigType = 'boolean' | 'int' | 'long' | 'string' | 'list'

/** One setting of the broker. */
export interface ConfigDefinition {
  readonly type: ConfigType
  /** As text; null when there is none. */
  readonly default: string | null
  /** Smallest and largest number allowed, both inclusive. */
  readonly min?: number
  readonly max?: number
  /** The texts allowed. */
  readonly oneOf?: readonly string[]
  readonly documentation: string
}

const maxInt = 2 ** 31 - 1
const day = 24 * 3600 * 1000

/**
 * Every setting that the broker honours beside the defaults of topics (those stand in the controller's table of
 * topic configs), under Kafka's name and with Kafka's default, or under `cordwood.` where Kafka has nothing like
 * it. What is in neither table is refused, never accepted and ignored.
 * Source: Kafka documentation, "Broker Configs".
 */
export const brokerConfigTable = {
  'node.id': { type: 'int', default: '1', min: 0, max: maxInt, documentation: 'The number of this node.' },
  'cordwood.cluster.id': {
    type: 'string',
    default: null,
    documentation: 'The cluster that the data directory must belong to; a new directory gets a random one.',
  },
  listeners: {
    type: 'list',
    default: 'PLAINTEXT://127.0.0.1:9092',
    documentation:
      'Where to listen, PLAINTEXT://HOST:PORT, in a cluster with a second one for the nodes, CONTROLLER://HOST:PORT. ' +
      'Port 0 takes a free one.',
  },
  'advertised.listeners': {
    type: 'list',
    default: null,
    documentation: 'The address that clients are told to connect to; by default the one of listeners.',
  },
  'process.roles': {
    type: 'list',
    default: null,
    documentation:
      'What this node is in its cluster: broker, controller, or both. Without it, it stands alone.',
  },
  'controller.quorum.voters': {
    type: 'list',
    default: null,
    documentation:
      'The controllers of a new cluster, ID@HOST:PORT,ID@HOST:PORT, the same list on every node.',
  },
  'controller.quorum.bootstrap.servers': {
    type: 'list',
    default: null,
    documentation: 'Where to ask for the controllers of a cluster that is there, HOST:PORT,HOST:PORT.',
  },
  'controller.quorum.auto.join.enable': {
    type: 'boolean',
    default: 'false',
    documentation: 'Whether a controller that is not among the voters asks to become one.',
  },
  'controller.listener.names': {
    type: 'list',
    default: 'CONTROLLER',
    documentation: 'The listener on which the nodes of a cluster reach each other, brokers included.',
  },
  'inter.broker.listener.name': {
    type: 'string',
    default: null,
    documentation: 'Known for the sake of Kafka: nodes always use the listener of controller.listener.names.',
  },
  'broker.rack': {
    type: 'string',
    default: null,
    documentation:
      'Where this broker is: replicas are spread over racks, and consumers of a rack read from it.',
  },
  'broker.heartbeat.interval.ms': {
    type: 'int',
    default: '500',
    min: 10,
    max: maxInt,
    documentation: 'Milliseconds between two signs of life to the active controller.',
  },
  'broker.session.timeout.ms': {
    type: 'int',
    default: '3000',
    min: 50,
    max: maxInt,
    documentation: 'A broker that the active controller does not hear of for so long is fenced.',
  },
  'metadata.log.max.record.bytes.between.snapshots': {
    type: 'long',
    default: '4194304',
    min: 1000,
    documentation: 'Bytes of changes of the metadata after which a node of a cluster takes a snapshot of it.',
  },
  'log.dirs': { type: 'list', default: './cordwood-data', documentation: 'The data directory.' },
  'cordwood.journal.directory': {
    type: 'string',
    default: null,
    documentation:
      'Where the journal is, perhaps on another disk; by default .journal in the data directory.',
  },
  'cordwood.journal.bytes': {
    type: 'long',
    default: '1073741824',
    min: 50331648,
    documentation:
      'How large the journal may become. It takes that room only under load; a larger one makes the slowest appends faster.',
  },
  'cordwood.metrics.listener': {
    type: 'string',
    default: null,
    documentation:
      'Where /metrics (Prometheus), /healthz and /readyz are served over HTTP, HOST:PORT; nowhere by default. Anybody who ' +
      'reaches it may read it: it shows names of topics and groups, no records.',
  },
  'cordwood.metrics.partitions.max': {
    type: 'int',
    default: '2000',
    min: 0,
    max: maxInt,
    documentation:
      'Partitions up to which /metrics has series for each; with more there are only those of the whole node.',
  },
  'num.partitions': {
    type: 'int',
    default: '1',
    min: 1,
    max: maxInt,
    documentation: 'Partitions of a topic that is created without saying how many.',
  },
  'default.replication.factor': {
    type: 'int',
    default: '1',
    min: 1,
    max: 32767,
    documentation:
      'Replicas of a topic that is created without saying how many; 1 on a node that stands alone.',
  },
  'auto.create.topics.enable': {
    type: 'boolean',
    default: 'true',
    documentation: 'Whether asking for a topic that is not there creates it.',
  },
  'delete.topic.enable': {
    type: 'boolean',
    default: 'true',
    documentation: 'Whether topics may be deleted.',
  },
  'log.cleaner.backoff.ms': {
    type: 'long',
    default: '15000',
    min: 1,
    max: maxInt,
    documentation: 'Milliseconds between two looks for logs to compact.',
  },
  'log.cleaner.dedupe.buffer.size': {
    type: 'long',
    default: '134217728',
    min: 1048576,
    max: maxInt,
    documentation:
      'Bytes of memory for the keys of the log that is being compacted; a log with more keys is compacted in several rounds.',
  },
  'log.retention.check.interval.ms': {
    type: 'long',
    default: '300000',
    min: 1,
    max: maxInt,
    documentation: 'Milliseconds between two looks for segments to delete.',
  },
  'log.flush.offset.checkpoint.interval.ms': {
    type: 'int',
    default: '60000',
    min: 1,
    max: maxInt,
    documentation: 'Milliseconds between two checkpoints of the recovery points.',
  },
  'producer.id.expiration.ms': {
    type: 'int',
    default: String(day),
    min: 1,
    max: maxInt,
    documentation:
      'How long the sequence numbers of an idle producer are remembered, while the broker runs: a start begins to count anew, and remembers the latest thousand producers of a partition whatever the clock says.',
  },
  'queued.max.request.bytes': {
    type: 'long',
    default: '268435456',
    min: 1048576,
    documentation: 'Bytes of all requests in flight; no socket is read beyond that.',
  },
  'socket.request.max.bytes': {
    type: 'int',
    default: '104857600',
    min: 1,
    max: maxInt,
    documentation: 'The largest request.',
  },
  'cordwood.fetch.verify': {
    type: 'string',
    default: 'cold',
    oneOf: ['cold', 'always'],
    documentation:
      'Which stored batches are checked before they are sent: those that have left memory since they were checked or ' +
      'written (cold), or all (always), which sends copies of at most a MiB at a time.',
  },
  'cordwood.scrub.bytes.per.second': {
    type: 'long',
    default: '8388608',
    min: 0,
    documentation:
      'How much of the sealed segments is read a second, in the background, to check what is stored: once a week each, ' +
      'if that is enough. 0 reads nothing.',
  },
  'fetch.max.bytes': {
    type: 'int',
    default: '57671680',
    min: 1024,
    max: maxInt,
    documentation: 'The largest answer to a fetch request, unless one batch is larger.',
  },
  'connections.max.idle.ms': {
    type: 'long',
    default: '600000',
    min: 1,
    documentation: 'Milliseconds after which an idle connection is closed.',
  },
  'max.connections': {
    type: 'int',
    default: String(maxInt),
    min: 0,
    max: maxInt,
    documentation:
      'Connections open at the same time; more are closed at once. Unless set, as many as leave enough descriptors for files.',
  },
  'offsets.topic.num.partitions': {
    type: 'int',
    default: '50',
    min: 1,
    max: maxInt,
    documentation: 'Partitions of __consumer_offsets.',
  },
  'offsets.topic.replication.factor': {
    type: 'int',
    default: '-1',
    min: -1,
    max: 32767,
    documentation:
      'Replicas of __consumer_offsets, which is not created before so many brokers are there; -1: three, or all where there are fewer.',
  },
  'offsets.topic.segment.bytes': {
    type: 'int',
    // Kafka's 100 MiB wait for compaction; here a segment goes as soon as its live records have been rewritten.
    default: '16777216',
    min: 1048576,
    max: maxInt,
    documentation: 'The size at which a new segment of __consumer_offsets begins.',
  },
  'offsets.retention.minutes': {
    type: 'int',
    default: '10080',
    min: 1,
    max: maxInt,
    documentation: 'How long the offsets of a group without members are kept.',
  },
  'offsets.retention.check.interval.ms': {
    type: 'long',
    default: '600000',
    min: 1,
    max: maxInt,
    documentation: 'Milliseconds between two looks for offsets to forget.',
  },
  'offset.metadata.max.bytes': {
    type: 'int',
    default: '4096',
    min: 0,
    max: maxInt,
    documentation: 'The longest text that may go with a committed offset.',
  },
  'group.initial.rebalance.delay.ms': {
    type: 'int',
    default: '3000',
    min: 0,
    max: maxInt,
    documentation: 'How long the first rebalance of a group waits for more members.',
  },
  'group.min.session.timeout.ms': {
    type: 'int',
    default: '6000',
    min: 0,
    max: maxInt,
    documentation: 'The shortest session timeout that a member may ask for.',
  },
  'group.max.session.timeout.ms': {
    type: 'int',
    default: '1800000',
    min: 0,
    max: maxInt,
    documentation: 'The longest session timeout that a member may ask for.',
  },
  'group.max.size': {
    type: 'int',
    default: String(maxInt),
    min: 1,
    max: maxInt,
    documentation: 'Members of one group.',
  },
} as const satisfies Record<string, ConfigDefinition>

/** The name of a setting. */
export type BrokerConfigName = keyof typeof brokerConfigTable

/** Kafka's other spellings of the same settings. */
export const brokerConfigSynonyms: ReadonlyMap<string, BrokerConfigName> = new Map([
  ['broker.id', 'node.id'],
  ['log.dir', 'log.dirs'],
  ['fetch.verify', 'cordwood.fetch.verify'],
])
