import { flushPolicyNames } from '../model/flushPolicy.ts'
import { type ConfigRule, longMaxText } from './configValues.ts'

/** One broker-level name of a topic config, most specific first; its value times `factor` is the topic's. */
export interface BrokerSynonym {
  readonly name: string
  readonly factor: number
}

/** What is known of one topic config. */
export interface TopicConfigDefinition extends ConfigRule {
  /** Kafka's default, as text: 2^63 - 1 does not fit a number. */
  readonly default: string
  readonly documentation: string
  readonly synonyms: readonly BrokerSynonym[]
  /** Whether values other than the default have an effect yet. */
  readonly honoured: boolean
  /** The values that are honoured besides the default, when it is not all of the legal ones. */
  readonly honouredValues?: readonly string[]
}

const none = { min: 0n } as const
const ms = (name: string): BrokerSynonym => ({ name, factor: 1 })
const minutes = (name: string): BrokerSynonym => ({ name, factor: 60_000 })
const hours = (name: string): BrokerSynonym => ({ name, factor: 3_600_000 })
const same = (name: string): readonly BrokerSynonym[] => [{ name, factor: 1 }]

/** Source: Kafka's ThrottledReplicaListValidator. */
const throttledReplicas = {
  pattern: /^(\*|\d{1,10}:\d{1,10})$/,
  wrong:
    "it must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...",
}

const definitions: Readonly<Record<string, TopicConfigDefinition>> = {
  'cleanup.policy': {
    type: 'list',
    default: 'delete',
    words: ['delete', 'compact'],
    synonyms: same('log.cleanup.policy'),
    honoured: true,
    documentation:
      'What happens to old segments: "delete" removes them once retention allows, "compact" keeps the newest record per key.',
  },
  'compression.gzip.level': {
    type: 'int',
    default: '-1',
    min: -1n,
    max: 9n,
    synonyms: same('compression.gzip.level'),
    honoured: false,
    documentation: 'The level of gzip when compression.type is gzip.',
  },
  'compression.lz4.level': {
    type: 'int',
    default: '9',
    min: 1n,
    max: 17n,
    synonyms: same('compression.lz4.level'),
    honoured: false,
    documentation: 'The level of lz4 when compression.type is lz4.',
  },
  'compression.type': {
    type: 'string',
    default: 'producer',
    words: ['uncompressed', 'zstd', 'lz4', 'snappy', 'gzip', 'producer'],
    synonyms: same('compression.type'),
    honoured: false,
    documentation: 'How batches are stored; "producer" keeps them as the producer compressed them.',
  },
  'compression.zstd.level': {
    type: 'int',
    default: '3',
    min: -131072n,
    max: 22n,
    synonyms: same('compression.zstd.level'),
    honoured: false,
    documentation: 'The level of zstd when compression.type is zstd.',
  },
  'cordwood.flush.bytes': {
    type: 'long',
    default: '1048576',
    min: 1n,
    synonyms: same('cordwood.flush.bytes'),
    honoured: true,
    documentation:
      'The bound of cordwood.flush.policy=bytes: so many bytes at most are acknowledged and not synced.',
  },
  'cordwood.flush.policy': {
    type: 'string',
    default: 'journal',
    words: flushPolicyNames,
    synonyms: same('cordwood.flush.policy'),
    honoured: true,
    documentation:
      'When an append is acknowledged, and what that survives. A power cut: "journal" (after an fdatasync of the journal that all logs share), "batch" (of its own segment, shared by what waits), "append" (of its own). The death of the process, being in the page cache: "none"; "interval", "bytes" and "records" are synced behind, within flush.ms (1000 unless set), cordwood.flush.bytes and flush.messages (10000 unless set).',
  },
  'delete.retention.ms': {
    type: 'long',
    default: '86400000',
    ...none,
    synonyms: same('log.cleaner.delete.retention.ms'),
    honoured: true,
    documentation: 'How long tombstones are kept in a compacted topic, in milliseconds.',
  },
  'file.delete.delay.ms': {
    type: 'long',
    default: '60000',
    ...none,
    synonyms: same('log.segment.delete.delay.ms'),
    honoured: true,
    documentation: 'How long a removed segment stays on disk under another name, in milliseconds.',
  },
  'flush.messages': {
    type: 'long',
    default: longMaxText,
    min: 1n,
    synonyms: same('log.flush.interval.messages'),
    honoured: true,
    documentation:
      'Under a relaxed cordwood.flush.policy: at most this many records are acknowledged and not synced; 1 means the policy "journal". A durable policy is not weakened by it.',
  },
  'flush.ms': {
    type: 'long',
    default: longMaxText,
    ...none,
    synonyms: [ms('log.flush.interval.ms'), ms('log.flush.scheduler.interval.ms')],
    honoured: true,
    documentation:
      'Under a relaxed cordwood.flush.policy: sync the log within so many milliseconds of an append. A durable policy is not weakened by it.',
  },
  'follower.replication.throttled.replicas': {
    type: 'list',
    default: '',
    items: throttledReplicas,
    synonyms: [],
    honoured: true,
    documentation:
      'Which replicas take no more than follower.replication.throttled.rate while they catch up: PARTITION:BROKER,…, or * for all.',
  },
  'index.interval.bytes': {
    type: 'int',
    default: '4096',
    ...none,
    synonyms: same('log.index.interval.bytes'),
    honoured: true,
    documentation: 'An index entry is written after about this many bytes of log.',
  },
  'leader.replication.throttled.replicas': {
    type: 'list',
    default: '',
    items: throttledReplicas,
    synonyms: [],
    honoured: true,
    documentation:
      'Which replicas send those that catch up no more than leader.replication.throttled.rate: PARTITION:BROKER,…, or * for all.',
  },
  'local.retention.bytes': {
    type: 'long',
    default: '-2',
    min: -2n,
    synonyms: same('log.local.retention.bytes'),
    honoured: false,
    documentation: 'With tiered storage: bytes kept locally; -2 means retention.bytes.',
  },
  'local.retention.ms': {
    type: 'long',
    default: '-2',
    min: -2n,
    synonyms: same('log.local.retention.ms'),
    honoured: false,
    documentation: 'With tiered storage: milliseconds kept locally; -2 means retention.ms.',
  },
  'max.compaction.lag.ms': {
    type: 'long',
    default: longMaxText,
    min: 1n,
    synonyms: same('log.cleaner.max.compaction.lag.ms'),
    honoured: true,
    documentation: 'The longest a record stays uncompacted, in milliseconds.',
  },
  'max.message.bytes': {
    type: 'int',
    default: '1048588',
    ...none,
    synonyms: same('message.max.bytes'),
    honoured: true,
    documentation: 'The largest record batch that is accepted, in bytes, after compression.',
  },
  'message.timestamp.after.max.ms': {
    type: 'long',
    default: '3600000',
    ...none,
    synonyms: same('log.message.timestamp.after.max.ms'),
    honoured: true,
    documentation: "How far a record's timestamp may lie ahead of the broker's clock, in milliseconds.",
  },
  'message.timestamp.before.max.ms': {
    type: 'long',
    default: longMaxText,
    ...none,
    synonyms: same('log.message.timestamp.before.max.ms'),
    honoured: true,
    documentation: "How far a record's timestamp may lie behind the broker's clock, in milliseconds.",
  },
  'message.timestamp.type': {
    type: 'string',
    default: 'CreateTime',
    words: ['CreateTime', 'LogAppendTime'],
    synonyms: same('log.message.timestamp.type'),
    honoured: true,
    documentation: 'Whether a record keeps the time its producer gave it or gets the time it was appended.',
  },
  'min.cleanable.dirty.ratio': {
    type: 'double',
    default: '0.5',
    min: 0n,
    max: 1n,
    synonyms: same('log.cleaner.min.cleanable.ratio'),
    honoured: true,
    documentation: 'How much of a log must be uncompacted before it is compacted.',
  },
  'min.compaction.lag.ms': {
    type: 'long',
    default: '0',
    ...none,
    synonyms: same('log.cleaner.min.compaction.lag.ms'),
    honoured: true,
    documentation: 'The shortest a record stays uncompacted, in milliseconds.',
  },
  'min.insync.replicas': {
    type: 'int',
    default: '1',
    min: 1n,
    synonyms: same('min.insync.replicas'),
    honoured: true,
    documentation: 'With acks=all: how many caught-up replicas there must be for an append to be accepted.',
  },
  preallocate: {
    type: 'boolean',
    default: 'false',
    synonyms: same('log.preallocate'),
    honoured: false,
    documentation: 'Whether the room of a segment is taken when it is created.',
  },
  'remote.log.copy.disable': {
    type: 'boolean',
    default: 'false',
    synonyms: [],
    honoured: false,
    documentation: 'With tiered storage: stop copying segments to it.',
  },
  'remote.log.delete.on.disable': {
    type: 'boolean',
    default: 'false',
    synonyms: [],
    honoured: false,
    documentation: 'With tiered storage: delete what it holds when it is turned off.',
  },
  'remote.storage.enable': {
    type: 'boolean',
    default: 'false',
    synonyms: [],
    honoured: false,
    documentation: 'Whether sealed segments are copied to tiered storage.',
  },
  'retention.bytes': {
    type: 'long',
    default: '-1',
    min: -1n,
    synonyms: same('log.retention.bytes'),
    honoured: true,
    documentation:
      'How large a partition may grow before its oldest segments are deleted; -1 means without bound.',
  },
  'retention.ms': {
    type: 'long',
    default: '604800000',
    min: -1n,
    synonyms: [ms('log.retention.ms'), minutes('log.retention.minutes'), hours('log.retention.hours')],
    honoured: true,
    documentation: 'How long records are kept, in milliseconds; -1 means for ever.',
  },
  'segment.bytes': {
    type: 'int',
    default: '1073741824',
    min: 1024n,
    synonyms: same('log.segment.bytes'),
    honoured: true,
    documentation: 'How large a segment grows before the log rolls to a new one.',
  },
  'segment.index.bytes': {
    type: 'int',
    default: '10485760',
    min: 4n,
    synonyms: same('log.index.size.max.bytes'),
    honoured: true,
    documentation: 'How large the offset index of a segment may grow before the log rolls to a new one.',
  },
  'segment.jitter.ms': {
    type: 'long',
    default: '0',
    ...none,
    synonyms: [ms('log.roll.jitter.ms'), hours('log.roll.jitter.hours')],
    honoured: false,
    documentation: 'The most that is randomly taken off segment.ms, so that logs do not all roll at once.',
  },
  'segment.ms': {
    type: 'long',
    default: '604800000',
    min: 1n,
    synonyms: [ms('log.roll.ms'), hours('log.roll.hours')],
    honoured: true,
    documentation: 'How old a segment grows before the log rolls to a new one, in milliseconds.',
  },
  'unclean.leader.election.enable': {
    type: 'boolean',
    default: 'false',
    synonyms: same('unclean.leader.election.enable'),
    honoured: false,
    documentation: 'Whether a replica that may lack committed records can be elected.',
  },
}

/**
 * Every topic config by name: Kafka 4's, and cordwood's own. Defaults and bounds are Kafka's, except that
 * segments may be as small as 1 KiB.
 */
export const topicConfigTable: ReadonlyMap<string, TopicConfigDefinition> = new Map(
  Object.entries(definitions),
)
