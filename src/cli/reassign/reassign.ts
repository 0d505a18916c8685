import { readFileSync } from 'node:fs'
import { type Command, InvalidArgumentError } from 'commander'
import { answered, type Client, checkAnswer, type TopicMetadata } from '../client.ts'
import { addConnectOptions, type ConnectOptions, withClient } from '../connect.ts'
import { UsageError } from '../failure.ts'
import { parseBytes, wholeNumber } from '../options.ts'
import { table } from '../table.ts'
import type { Terminal } from '../terminal.ts'
import { type Assignment, balancedPlan, type PlanBroker, parsePlan, planText } from './plan.ts'
import { clearThrottles, movesOf, setThrottles } from './throttle.ts'

interface Moving extends Assignment {
  readonly adding: readonly number[]
  readonly removing: readonly number[]
}

const lookAgainMs = 500
const noReassignmentInProgress = 85

const examples = `
Examples:
  $ cordwood reassign generate --brokers 1,2,3,4 > plan.json     spread all topics over four brokers
  $ cordwood reassign generate orders --replication-factor 3 > plan.json
  $ cordwood reassign execute plan.json --wait --throttle 20MiB
  $ cordwood reassign status
  $ cordwood reassign cancel plan.json

Plans have the format of Kafka's kafka-reassign-partitions. While a replica is being made, the old ones stay; "execute" prints
on standard output what was there before, which is the plan that goes back. With --throttle brokers copy no faster than that;
"execute --wait", "status" and "cancel" take the throttle back once nothing moves any more.`

/** `reassign`: which brokers have which partitions. */
export function defineReassign(command: Command, terminal: Terminal): void {
  command.addHelpText('after', examples)
  addConnectOptions(command.command('generate'))
    .description('Print a plan that spreads partitions evenly over brokers and racks. Changes nothing.')
    .argument('[topic...]', 'names (default: all topics)')
    .option('--brokers <ids>', 'brokers to put them on, separated by commas (default: all)', parseIds)
    .option(
      '--replication-factor <n>',
      'copies of each partition (default: as many as now)',
      wholeNumber(1, 32_767),
    )
    .option('--all', 'also partitions that stay where they are')
    .addHelpText('after', examples)
    .action((topics: string[], options: GenerateOptions) =>
      withClient(options, (client) => generate(client, terminal, topics, options)),
    )
  addConnectOptions(command.command('execute'))
    .description('Carry a plan out, and print the one that goes back.')
    .argument('<plan>', 'a file with a plan, "-" for standard input')
    .option('--wait', 'until everything has moved')
    .option(
      '--throttle <bytes>',
      'what a broker sends, and what it takes, for new replicas at most, per second: 1000000 or 20MiB',
      parseRate,
    )
    .addHelpText('after', examples)
    .action((file: string, options: ExecuteOptions) =>
      withClient(options, (client) => execute(client, terminal, file, options)),
    )
  addConnectOptions(command.command('status'))
    .description('Show what is moving.')
    .option('--wait', 'until nothing moves any more')
    .option('--preserve-throttles', 'leave throttles as they are')
    .option('--json', 'one JSON object a line')
    .action((options: StatusOptions) => withClient(options, (client) => status(client, terminal, options)))
  addConnectOptions(command.command('cancel'))
    .description('Stop what is moving, and keep the replicas that were there before.')
    .argument('[plan]', 'a file with the partitions, "-" for standard input (default: everything that moves)')
    .action((file: string | undefined, options: ConnectOptions) =>
      withClient(options, (client) => cancel(client, terminal, file ?? null)),
    )
}

interface GenerateOptions extends ConnectOptions {
  readonly brokers?: readonly number[]
  readonly replicationFactor?: number
  readonly all?: true
}

interface ExecuteOptions extends ConnectOptions {
  readonly wait?: true
  /** Bytes per second. */
  readonly throttle?: number
}

interface StatusOptions extends ConnectOptions {
  readonly wait?: true
  readonly preserveThrottles?: true
  readonly json?: true
}

async function generate(
  client: Client,
  terminal: Terminal,
  names: readonly string[],
  options: GenerateOptions,
): Promise<void> {
  const topics = await client.describe(names)
  const { brokers } = await client.send('describeCluster', {})
  const known: readonly PlanBroker[] = brokers.map(({ brokerId, rack }) => ({ id: brokerId, rack }))
  const wanted = options.brokers ?? known.map(({ id }) => id)
  const chosen = wanted.map((id) => {
    const broker = known.find((each) => each.id === id)
    if (broker !== undefined) return broker
    throw new UsageError(`there is no broker ${id}; there are ${known.map((each) => each.id).join(', ')}`)
  })
  const current = assignmentsOf(topics)
  const plan = balancedPlan(current, chosen, options.replicationFactor ?? null)
  const changed = options.all ? plan : plan.filter((each, index) => !isSame(each, current[index]!))
  if (changed.length === 0)
    return terminal.note('Everything is where it should be: there is nothing to move.')
  const copies = plan.reduce(
    (sum, { replicas }, index) => sum + newOnes(replicas, current[index]!.replicas),
    0,
  )
  terminal.note(
    `${changed.length} of ${current.length} partitions change, ${copies} replicas are made anew; "cordwood reassign execute" does it`,
  )
  await terminal.write(planText(changed))
}

async function execute(
  client: Client,
  terminal: Terminal,
  file: string,
  { wait, throttle }: ExecuteOptions,
): Promise<void> {
  const plan = parsePlan(await readPlan(terminal, file), file)
  const topics = await client.describe([...new Set(plan.map(({ topic }) => topic))])
  const before = assignmentsOf(topics).filter((current) =>
    plan.some(({ topic, partition }) => topic === current.topic && partition === current.partition),
  )
  for (const { topic, partition } of plan) {
    if (before.some((current) => current.topic === topic && current.partition === partition)) continue
    throw new UsageError(`${file}: there is no partition ${partition} of topic ${topic}`)
  }
  if (throttle !== undefined) {
    // Before anything moves, so that nothing moves unbounded.
    const moves = movesOf(plan, before, await movingPartitions(client))
    if (moves.length > 0) await setThrottles(client, moves, throttle)
  }
  await alter(client, plan)
  terminal.note(
    `${plan.length} partitions are being moved; "cordwood reassign status" shows how far it is. The way back:`,
  )
  await terminal.write(planText(before))
  if (!wait) return
  await untilStill(client, terminal)
  await unthrottle(client, terminal)
}

async function status(client: Client, terminal: Terminal, options: StatusOptions): Promise<void> {
  const moving = await movingPartitions(client)
  if (options.json) {
    for (const each of moving) await terminal.write(`${JSON.stringify(each)}\n`)
  } else if (moving.length === 0) {
    terminal.note('Nothing is moving.')
  } else {
    const rows = moving.map(({ topic, partition, replicas, adding, removing }) => [
      topic,
      partition,
      replicas.join(','),
      adding.join(',') || '-',
      removing.join(',') || '-',
    ])
    await terminal.write(table(['TOPIC', 'PARTITION', 'REPLICAS', 'ADDING', 'REMOVING'], rows))
  }
  if (options.wait && moving.length > 0) await untilStill(client, terminal)
  if ((options.wait || moving.length === 0) && !options.preserveThrottles) await unthrottle(client, terminal)
}

async function unthrottle(client: Client, terminal: Terminal): Promise<void> {
  if (await clearThrottles(client)) terminal.note('The throttle was taken back.')
}

async function cancel(client: Client, terminal: Terminal, file: string | null): Promise<void> {
  const moving =
    file === null ? await movingPartitions(client) : parsePlan(await readPlan(terminal, file), file)
  if (moving.length === 0) return terminal.note('Nothing is moving.')
  await alter(
    client,
    moving.map(({ topic, partition }) => ({ topic, partition, replicas: null })),
  )
  terminal.note(`stopped moving ${moving.length} partitions`)
  if ((await movingPartitions(client)).length === 0) await unthrottle(client, terminal)
}

async function alter(
  client: Client,
  changes: readonly { topic: string; partition: number; replicas: readonly number[] | null }[],
): Promise<void> {
  const byTopic = new Map<string, { partitionIndex: number; replicas: readonly number[] | null }[]>()
  for (const { topic, partition, replicas } of changes) {
    byTopic.set(topic, [...(byTopic.get(topic) ?? []), { partitionIndex: partition, replicas }])
  }
  const { errorCode, errorMessage, responses } = await client.send('alterPartitionReassignments', {
    topics: [...byTopic].map(([name, partitions]) => ({ name, partitions })),
  })
  checkAnswer(errorCode, 'nothing was changed', errorMessage)
  const failed = responses.flatMap(({ name, partitions }) =>
    partitions
      .filter((partition) => partition.errorCode !== 0 && partition.errorCode !== noReassignmentInProgress)
      .map((partition) => ({ name, ...partition })),
  )
  const [first] = failed
  if (first === undefined) return
  const more = failed.length === 1 ? '' : ` (and ${failed.length - 1} more)`
  throw answered(
    first.errorCode,
    `${first.name}-${first.partitionIndex} was not changed${more}`,
    first.errorMessage,
  )
}

async function movingPartitions(client: Client): Promise<readonly Moving[]> {
  const { errorCode, errorMessage, topics } = await client.send('listPartitionReassignments', {
    topics: null,
  })
  checkAnswer(errorCode, 'cannot list what is moving', errorMessage)
  return topics
    .flatMap(({ name, partitions }) =>
      partitions.map(({ partitionIndex, replicas, addingReplicas, removingReplicas }) => ({
        topic: name,
        partition: partitionIndex,
        replicas,
        adding: addingReplicas,
        removing: removingReplicas,
      })),
    )
    .sort((a, b) => (a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : a.partition - b.partition))
}

async function untilStill(client: Client, terminal: Terminal): Promise<void> {
  for (;;) {
    const left = (await movingPartitions(client)).length
    terminal.progress(left === 0 ? '' : `${left} partitions are moving`)
    if (left === 0) return terminal.note('Everything has moved.')
    await client.pause(lookAgainMs)
  }
}

function assignmentsOf(topics: readonly TopicMetadata[]): readonly Assignment[] {
  return topics.flatMap(({ name, partitions }) =>
    partitions.map(({ partition, replicas }) => ({ topic: name, partition, replicas })),
  )
}

function isSame(one: Assignment, other: Assignment): boolean {
  return one.replicas.join() === other.replicas.join()
}

function newOnes(replicas: readonly number[], before: readonly number[]): number {
  return replicas.filter((id) => !before.includes(id)).length
}

async function readPlan(terminal: Terminal, file: string): Promise<string> {
  if (file === '-') {
    const chunks: Uint8Array[] = []
    for await (const chunk of terminal.input) chunks.push(chunk)
    return Buffer.concat(chunks).toString('utf8')
  }
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new UsageError(`cannot read ${file}: ${(error as Error).message}`)
  }
}

function parseRate(text: string): number {
  const bytes = parseBytes(text)
  if (bytes > 0 && Number.isSafeInteger(bytes)) return bytes
  throw new InvalidArgumentError('It must be more than nothing.')
}

function parseIds(text: string): readonly number[] {
  const ids = text.split(',').map((part) => part.trim())
  if (!ids.every((id) => /^\d{1,10}$/.test(id)))
    throw new InvalidArgumentError('It must be ids of brokers, such as 1,2,3.')
  return [...new Set(ids.map(Number))]
}
