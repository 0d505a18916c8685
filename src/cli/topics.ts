import type { Command } from 'commander'
import { ConfigOperation } from '../controller/commands.ts'
import { ConfigResourceType } from '../controller/replay.ts'
import { ConfigSource } from '../controller/topicConfigs.ts'
import { EngineError } from '../model/errors.ts'
import { answered, type Client, checkAnswer } from './client.ts'
import { addConnectOptions, type ConnectOptions, withClient } from './connect.ts'
import { UsageError } from './failure.ts'
import { listOffsets, type PartitionOffset } from './offsets.ts'
import { collect, collectPair, wholeNumber } from './options.ts'
import { table } from './table.ts'
import type { Terminal } from './terminal.ts'

interface JsonOption {
  readonly json?: true
}

type Pairs = readonly (readonly [string, string])[]

const examples = `
Examples:
  $ cordwood topics create orders --partitions 6 --config retention.ms=86400000
  $ cordwood topics list
  $ cordwood topics describe orders
  $ cordwood topics alter orders --partitions 12 --config max.message.bytes=2000000
  $ cordwood topics delete orders`

/** `topics`: everything about topics but their records. */
export function defineTopics(command: Command, terminal: Terminal): void {
  command.addHelpText('after', examples)
  addConnectOptions(command.command('list'))
    .description('List topics.')
    .option('--internal', 'also those that the broker keeps for itself')
    .option('--json', 'one JSON object a line')
    .action((options: ConnectOptions & JsonOption & { internal?: true }) =>
      withClient(options, (client) => list(client, terminal, options)),
    )
  addConnectOptions(command.command('create'))
    .description('Create topics.')
    .argument('<topic...>', 'names: letters, digits, ".", "_" and "-"')
    .option('-p, --partitions <n>', "number of partitions (default: the broker's)", wholeNumber(1, 1_000_000))
    .option(
      '--replication-factor <n>',
      "copies of each partition (default: the broker's)",
      wholeNumber(1, 32_767),
    )
    .option(
      '-c, --config <key=value>',
      'a topic config, such as retention.ms=3600000; repeatable',
      collectPair,
    )
    .option('--if-not-exists', 'no error for a topic that is there')
    .addHelpText(
      'after',
      '\nExample:\n  $ cordwood topics create orders --partitions 6 --config retention.ms=86400000',
    )
    .action((names: string[], options: CreateOptions) =>
      withClient(options, (client) => create(client, terminal, names, options)),
    )
  addConnectOptions(command.command('describe'))
    .description('Show partitions, offsets and configs of topics.')
    .argument('<topic...>', 'names')
    .option('--all-configs', 'also configs that are at their default')
    .option('--json', 'one JSON object a line')
    .action((names: string[], options: ConnectOptions & JsonOption & { allConfigs?: true }) =>
      withClient(options, (client) => describe(client, terminal, names, options)),
    )
  addConnectOptions(command.command('delete'))
    .description('Delete topics with all their records.')
    .argument('<topic...>', 'names')
    .option('--if-exists', 'no error for a topic that is not there')
    .action((names: string[], options: ConnectOptions & { ifExists?: true }) =>
      withClient(options, (client) => remove(client, terminal, names, options.ifExists === true)),
    )
  addConnectOptions(command.command('alter'))
    .description('Add partitions to a topic, or change its configs.')
    .argument('<topic>', 'name')
    .option('-p, --partitions <n>', 'total number of partitions; it can only grow', wholeNumber(1, 1_000_000))
    .option('-c, --config <key=value>', 'set a topic config; repeatable', collectPair)
    .option('--delete-config <key>', 'back to the default; repeatable', collect(String))
    .addHelpText(
      'after',
      '\nExample:\n  $ cordwood topics alter orders --config retention.ms=3600000 --delete-config segment.bytes',
    )
    .action((name: string, options: AlterOptions) =>
      withClient(options, (client) => alter(client, terminal, name, options)),
    )
}

interface CreateOptions extends ConnectOptions {
  readonly partitions?: number
  readonly replicationFactor?: number
  readonly config?: Pairs
  readonly ifNotExists?: true
}

interface AlterOptions extends ConnectOptions {
  readonly partitions?: number
  readonly config?: Pairs
  readonly deleteConfig?: readonly string[]
}

async function list(
  client: Client,
  terminal: Terminal,
  options: JsonOption & { internal?: true },
): Promise<void> {
  const { topics } = await client.metadata(null)
  const shown = topics
    .filter(({ isInternal }) => options.internal === true || !isInternal)
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  if (options.json) {
    for (const { name, topicId, partitions, isInternal } of shown) {
      await terminal.write(
        `${JSON.stringify({ name, topicId, partitions: partitions.length, internal: isInternal })}\n`,
      )
    }
    return
  }
  if (shown.length === 0)
    return terminal.note('There are no topics; "cordwood topics create NAME" creates one.')
  await terminal.write(
    table(
      ['TOPIC', 'PARTITIONS', 'ID'],
      shown.map(({ name, partitions, topicId }) => [name, partitions.length, topicId]),
    ),
  )
}

async function create(
  client: Client,
  terminal: Terminal,
  names: readonly string[],
  options: CreateOptions,
): Promise<void> {
  const { topics } = await client.send('createTopics', {
    topics: names.map((name) => ({
      name,
      numPartitions: options.partitions ?? -1,
      replicationFactor: options.replicationFactor ?? -1,
      configs: (options.config ?? []).map(([key, value]) => ({ name: key, value })),
    })),
    timeoutMs: options.timeout,
  })
  for (const { name, errorCode, errorMessage, numPartitions } of topics) {
    if (errorCode === topicAlreadyExists && options.ifNotExists) terminal.note(`topic ${name} exists already`)
    else if (errorCode === topicAlreadyExists) throw exists(name)
    else {
      checkAnswer(errorCode, `cannot create topic ${name}`, errorMessage)
      terminal.note(
        `created topic ${name}${numPartitions > 0 ? ` with ${count(numPartitions, 'partition')}` : ''}`,
      )
      // What the broker says of a topic that it has created all the same.
      if (errorMessage !== null && errorMessage !== '') terminal.note(errorMessage)
    }
  }
}

const topicAlreadyExists = 36
const unknownTopicOrPartition = 3

function exists(name: string): EngineError {
  return new EngineError(
    'topicAlreadyExists',
    `topic ${name} exists already; "cordwood topics alter ${name}" changes it`,
  )
}

async function remove(
  client: Client,
  terminal: Terminal,
  names: readonly string[],
  ifExists: boolean,
): Promise<void> {
  const { responses } = await client.send('deleteTopics', {
    topicNames: names,
    topics: names.map((name) => ({ name })),
    timeoutMs: 30_000,
  })
  for (const { name, errorCode, errorMessage } of responses) {
    if (errorCode === unknownTopicOrPartition && ifExists) terminal.note(`there is no topic ${name}`)
    else if (errorCode === unknownTopicOrPartition) throw answered(errorCode, `there is no topic ${name}`)
    else {
      checkAnswer(errorCode, `cannot delete topic ${name}`, errorMessage)
      terminal.note(`deleted topic ${name}`)
    }
  }
}

async function alter(client: Client, terminal: Terminal, name: string, options: AlterOptions): Promise<void> {
  const set = options.config ?? []
  const deleted = options.deleteConfig ?? []
  if (options.partitions === undefined && set.length + deleted.length === 0) {
    throw new UsageError('say what to alter: --partitions N, --config KEY=VALUE or --delete-config KEY')
  }
  await client.topic(name, false)
  if (options.partitions !== undefined) {
    const { results } = await client.send('createPartitions', {
      topics: [{ name, count: options.partitions, assignments: null }],
      timeoutMs: options.timeout,
    })
    for (const { errorCode, errorMessage } of results)
      checkAnswer(errorCode, `cannot add partitions to ${name}`, errorMessage)
    terminal.note(`topic ${name} has ${count(options.partitions, 'partition')}`)
  }
  if (set.length + deleted.length === 0) return
  const { responses } = await client.send('incrementalAlterConfigs', {
    resources: [
      {
        resourceType: ConfigResourceType.topic,
        resourceName: name,
        configs: [
          ...set.map(([key, value]) => ({ name: key, configOperation: ConfigOperation.set, value })),
          ...deleted.map((key) => ({ name: key, configOperation: ConfigOperation.delete, value: null })),
        ],
      },
    ],
  })
  for (const { errorCode, errorMessage } of responses)
    checkAnswer(errorCode, `cannot change configs of ${name}`, errorMessage)
  terminal.note(`changed ${count(set.length + deleted.length, 'config')} of topic ${name}`)
}

async function describe(
  client: Client,
  terminal: Terminal,
  names: readonly string[],
  options: JsonOption & { allConfigs?: true },
): Promise<void> {
  for (const name of names) {
    const topic = await client.topic(name, false)
    const wanted = topic.partitions.map(({ partition, leader }) => ({ topic: name, partition, leader }))
    const first = byPartition(await listOffsets(client, wanted, 'earliest'))
    const end = byPartition(await listOffsets(client, wanted, 'latest'))
    const configs = await describeConfigs(client, name, options.allConfigs === true)
    const partitions = topic.partitions.map((partition) => ({
      ...partition,
      logStartOffset: first.get(partition.partition) ?? -1,
      endOffset: end.get(partition.partition) ?? -1,
    }))
    if (options.json) {
      const { topicId, isInternal } = topic
      await terminal.write(
        `${JSON.stringify({ name, topicId, internal: isInternal, configs: Object.fromEntries(configs), partitions })}\n`,
      )
      continue
    }
    const records = partitions.reduce(
      (sum, { logStartOffset, endOffset }) => sum + endOffset - logStartOffset,
      0,
    )
    await terminal.write(
      `topic ${name}  id ${topic.topicId}  ${count(partitions.length, 'partition')}  ${count(records, 'offset')}\n` +
        (configs.length === 0 ? '' : `${configs.map(([key, value]) => `  ${key}=${value}`).join('\n')}\n`) +
        table(
          ['PARTITION', 'LEADER', 'EPOCH', 'START', 'END', 'REPLICAS', 'ISR'],
          partitions.map(({ partition, leader, leaderEpoch, logStartOffset, endOffset, replicas, isr }) => [
            partition,
            leader,
            leaderEpoch,
            logStartOffset,
            endOffset,
            replicas.join(','),
            isr.join(','),
          ]),
        ),
    )
  }
}

function byPartition(offsets: readonly PartitionOffset[]): ReadonlyMap<number, number> {
  return new Map(offsets.map(({ partition, offset }) => [partition, offset]))
}

async function describeConfigs(
  client: Client,
  name: string,
  all: boolean,
): Promise<(readonly [string, string])[]> {
  const { results } = await client.send('describeConfigs', {
    resources: [{ resourceType: ConfigResourceType.topic, resourceName: name, configurationKeys: null }],
    includeSynonyms: false,
  })
  const [result] = results
  checkAnswer(result?.errorCode ?? 0, `cannot read configs of ${name}`, result?.errorMessage)
  return (result?.configs ?? [])
    .filter(({ configSource }) => all || configSource === ConfigSource.dynamicTopic)
    .map(({ name: key, value }) => [key, value ?? ''] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1))
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`
}
