import type { Command } from 'commander'
import type { Client, PartitionMetadata } from './client.ts'
import { addConnectOptions, type ConnectOptions, withClient } from './connect.ts'
import { table } from './table.ts'
import type { Terminal } from './terminal.ts'

interface PartitionsOptions extends ConnectOptions {
  readonly underReplicated?: true
  readonly leaderless?: true
  readonly summary?: true
  readonly internal?: true
  readonly json?: true
}

interface Row extends PartitionMetadata {
  readonly topic: string
}

const examples = `
Examples:
  $ cordwood partitions                        every partition: who leads, who has it, who has caught up
  $ cordwood partitions orders payments
  $ cordwood partitions --under-replicated     only those with a replica that has not caught up
  $ cordwood partitions --summary              a line for each topic

STATE is "ok", "no leader", or "behind: 2,3" with the replicas that have not caught up; "not preferred" says that another replica
than the first leads.`

/** `partitions`: how the partitions of the cluster are doing. */
export function definePartitions(command: Command, terminal: Terminal): void {
  addConnectOptions(command)
    .argument('[topic...]', 'names (default: all topics)')
    .option('--under-replicated', 'only those with a replica that has not caught up')
    .option('--leaderless', 'only those that nobody leads')
    .option('--summary', 'a line for each topic')
    .option('--internal', 'also topics that the brokers keep for themselves')
    .option('--json', 'one JSON object a line')
    .addHelpText('after', examples)
    .action((topics: string[], options: PartitionsOptions) =>
      withClient(options, (client) => show(client, terminal, topics, options)),
    )
}

async function show(
  client: Client,
  terminal: Terminal,
  names: readonly string[],
  options: PartitionsOptions,
): Promise<void> {
  const all: readonly Row[] = (await client.describe(names))
    .filter(({ isInternal }) => names.length > 0 || options.internal === true || !isInternal)
    .flatMap(({ name, partitions }) => partitions.map((partition) => ({ topic: name, ...partition })))
  const isAsked = (row: Row): boolean =>
    (!options.underReplicated && !options.leaderless) ||
    (options.underReplicated === true && missing(row).length > 0) ||
    (options.leaderless === true && row.leader < 0)
  const rows = all.filter(isAsked)
  if (options.json) {
    for (const row of rows) await terminal.write(`${JSON.stringify({ ...row, behind: missing(row) })}\n`)
    return
  }
  if (options.summary) await terminal.write(summary(rows))
  else if (rows.length > 0) {
    await terminal.write(
      table(
        ['TOPIC', 'PARTITION', 'LEADER', 'EPOCH', 'REPLICAS', 'ISR', 'STATE'],
        rows.map((row) => [
          row.topic,
          row.partition,
          row.leader < 0 ? '-' : row.leader,
          row.leaderEpoch,
          row.replicas.join(','),
          row.isr.join(','),
          stateOf(row),
        ]),
      ),
    )
  }
  const behind = all.filter((row) => missing(row).length > 0).length
  const leaderless = all.filter(({ leader }) => leader < 0).length
  terminal.note(
    `${all.length} partition${all.length === 1 ? '' : 's'}, ${behind} under-replicated, ${leaderless} without a leader`,
  )
}

function summary(rows: readonly Row[]): string {
  const topics = [...new Set(rows.map(({ topic }) => topic))]
  return table(
    ['TOPIC', 'PARTITIONS', 'REPLICAS', 'UNDER-REPLICATED', 'LEADERLESS', 'NOT PREFERRED'],
    topics.map((topic) => {
      const own = rows.filter((row) => row.topic === topic)
      return [
        topic,
        own.length,
        own.reduce((sum, { replicas }) => sum + replicas.length, 0),
        own.filter((row) => missing(row).length > 0).length,
        own.filter(({ leader }) => leader < 0).length,
        own.filter(({ leader, replicas }) => leader >= 0 && leader !== replicas[0]).length,
      ]
    }),
  )
}

function missing({ replicas, isr }: Row): readonly number[] {
  return replicas.filter((id) => !isr.includes(id))
}

function stateOf(row: Row): string {
  if (row.leader < 0) return 'no leader'
  const behind = missing(row)
  const words = [
    ...(behind.length > 0 ? [`behind: ${behind.join(',')}`] : []),
    ...(row.leader !== row.replicas[0] ? ['not preferred'] : []),
  ]
  return words.length === 0 ? 'ok' : words.join(', ')
}
