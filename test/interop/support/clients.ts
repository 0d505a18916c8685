import { join } from 'node:path'
import {
  type Finished,
  peersDirectory,
  type Running,
  type RunOptions,
  repositoryRoot,
  run,
  start,
} from './run.ts'

/** A record as a client reported it. */
export interface Seen {
  readonly partition: number
  readonly offset: number
  readonly key: string
  readonly value: string
}

/** Runs kcat (librdkafka) against `bootstrap`. */
export function kcat(bootstrap: string, args: readonly string[], options?: RunOptions): Promise<Finished> {
  return run('kcat', ['-b', bootstrap, ...args], options)
}

/** kcat's arguments that print a record as one line for `parseSeen`. */
export const kcatFormat = ['-f', '%p\t%o\t%k\t%s\n'] as const

/** All records of a topic as kcat reads them. */
export async function kcatRead(bootstrap: string, topic: string): Promise<Seen[]> {
  const all = ['-q', '-C', '-t', topic, '-o', 'beginning', '-e', ...kcatFormat]
  return parseSeen((await kcat(bootstrap, all)).stdout)
}

const javaFlags = [
  // Short-lived tools: most of their time would go into compiling themselves.
  '-XX:TieredStopAtLevel=1',
  '-XX:+UseSerialGC',
  '-Xmx384m',
  `-Dlog4j2.configurationFile=${join(repositoryRoot, 'bench/peers/kafka/log4j2-tools.properties')}`,
  '-cp',
  join(peersDirectory, 'kafka/libs/*'),
] as const

/** Class names of Kafka's command line tools, by the names of the scripts that start them. */
export const javaTools = {
  topics: 'org.apache.kafka.tools.TopicCommand',
  configs: 'kafka.admin.ConfigCommand',
  consumerGroups: 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand',
  consoleConsumer: 'org.apache.kafka.tools.consumer.ConsoleConsumer',
  consoleProducer: 'org.apache.kafka.tools.ConsoleProducer',
  getOffsets: 'org.apache.kafka.tools.GetOffsetShell',
  deleteRecords: 'org.apache.kafka.tools.DeleteRecordsCommand',
  logDirs: 'org.apache.kafka.tools.LogDirsCommand',
  brokerApiVersions: 'org.apache.kafka.tools.BrokerApiVersionsCommand',
  cluster: 'org.apache.kafka.tools.ClusterTool',
  producerPerformance: 'org.apache.kafka.tools.ProducerPerformance',
  leaderElection: 'org.apache.kafka.tools.LeaderElectionCommand',
  reassignPartitions: 'org.apache.kafka.tools.reassign.ReassignPartitionsCommand',
  metadataQuorum: 'org.apache.kafka.tools.MetadataQuorumCommand',
  dumpLogSegments: 'org.apache.kafka.tools.DumpLogSegments',
} as const

/** Starts one of Kafka's own tools, unchanged, in a JVM of its own. */
export function startJava(
  tool: keyof typeof javaTools,
  args: readonly string[],
  options?: RunOptions,
): Running {
  return start('java', [...javaFlags, javaTools[tool], ...args], options)
}

/** Runs one of Kafka's own tools to its end. */
export function java(
  tool: keyof typeof javaTools,
  args: readonly string[],
  options?: RunOptions,
): Promise<Finished> {
  return startJava(tool, args, options).done
}

/** Runs Java's console consumer over `count` records of a topic. */
export async function javaConsume(
  bootstrap: string,
  topic: string,
  count: number,
  more: readonly string[] = [],
): Promise<Seen[]> {
  const print = ['partition', 'offset', 'key'].flatMap((what) => [
    '--formatter-property',
    `print.${what}=true`,
  ])
  const { stdout } = await java('consoleConsumer', [
    ...[
      '--bootstrap-server',
      bootstrap,
      '--topic',
      topic,
      '--max-messages',
      `${count}`,
      '--timeout-ms',
      '30000',
    ],
    ...[...print, '--from-beginning', ...more],
  ])
  // The formatter prints `Partition:1`, `Offset:7`.
  return parseSeen(stdout.replaceAll(/^Partition:(\d+)\tOffset:(\d+)\t/gm, '$1\t$2\t'))
}

/** Runs the franz-go client; see bench/peers/kgo-bench/cat. */
export function kgoCat(
  what: 'produce' | 'consume',
  bootstrap: string,
  args: readonly string[],
  options?: RunOptions,
): Promise<Finished> {
  return run(join(peersDirectory, 'bin/kgo-cat'), [what, '-b', bootstrap, ...args], options)
}

/** Runs a Python program with confluent-kafka (librdkafka) and kafka-python at hand; `args` become sys.argv[1:]. */
export function python(program: string, args: readonly string[], options?: RunOptions): Promise<Finished> {
  return run(join(peersDirectory, 'python/bin/python'), ['-c', program, ...args], options)
}

/** Reads lines `PARTITION<TAB>OFFSET<TAB>KEY<TAB>VALUE`. */
export function parseSeen(text: string): Seen[] {
  const seen: Seen[] = []
  for (const line of text.split('\n')) {
    if (line === '') continue
    const [partition, offset, key, ...value] = line.split('\t')
    seen.push({
      partition: Number(partition),
      offset: Number(offset),
      key: key ?? '',
      value: value.join('\t'),
    })
  }
  return seen
}
