import type { Command } from 'commander'
import { EngineError } from '../model/errors.ts'
import type { Uuid } from '../model/uuid.ts'
import { type Client, checkAnswer, type ResponseOf } from './client.ts'
import { addConnectOptions, type ConnectOptions, withClient } from './connect.ts'
import { UsageError } from './failure.ts'
import { formatAddress, wholeNumber } from './options.ts'
import { table } from './table.ts'
import type { Terminal } from './terminal.ts'

type Described = ResponseOf<'describeQuorum'>
type Partition = Described['topics'][number]['partitions'][number]
type Replica = Partition['currentVoters'][number]

interface Quorum {
  readonly clusterId: string | null
  readonly partition: Partition
  readonly nodes: Described['nodes']
}

interface QuorumOptions extends ConnectOptions {
  readonly json?: true
}

interface VoterOptions extends ConnectOptions {
  readonly directoryId?: string
}

const metadataTopic = '__cluster_metadata'

const examples = `
Examples:
  $ cordwood quorum status             who leads the metadata, and how far the others are
  $ cordwood quorum replication        a line for each replica
  $ cordwood quorum add-voter 4        node 4, which follows already, is to vote
  $ cordwood quorum remove-voter 1     node 1 is not to vote any more

Voters elect the active controller and decide what counts as stored; a majority of them must be there. Observers follow.`

/** `quorum`: the controllers, whose log holds the metadata of the cluster. */
export function defineQuorum(command: Command, terminal: Terminal): void {
  command.addHelpText('after', examples)
  addConnectOptions(command.command('status'))
    .description('Show the leader of the metadata, its epoch, and who votes.')
    .option('--json', 'one JSON object')
    .action((options: QuorumOptions) => withClient(options, (client) => status(client, terminal, options)))
  addConnectOptions(command.command('replication'))
    .description('Show how far each replica of the metadata is.')
    .option('--json', 'one JSON object a line')
    .action((options: QuorumOptions) =>
      withClient(options, (client) => replication(client, terminal, options)),
    )
  addConnectOptions(command.command('add-voter'))
    .description('Make a controller that follows the metadata vote on it.')
    .argument('<node>', 'its id', wholeNumber(0, 2 ** 31 - 1))
    .option('--directory-id <id>', 'its directory (default: the one it follows with)')
    .addHelpText('after', examples)
    .action((id: number, options: VoterOptions) =>
      withClient(options, (client) => addVoter(client, terminal, id, options)),
    )
  addConnectOptions(command.command('remove-voter'))
    .description('Take the vote from a controller.')
    .argument('<node>', 'its id', wholeNumber(0, 2 ** 31 - 1))
    .option('--directory-id <id>', 'its directory (default: the one it votes with)')
    .addHelpText('after', examples)
    .action((id: number, options: VoterOptions) =>
      withClient(options, (client) => removeVoter(client, terminal, id, options)),
    )
}

async function status(client: Client, terminal: Terminal, { json }: QuorumOptions): Promise<void> {
  const { clusterId, partition } = await describe(client)
  const { leaderId, leaderEpoch, highWatermark, currentVoters, observers } = partition
  const lag = Math.max(0, ...currentVoters.map((voter) => lagOf(partition, voter)))
  const ids = (replicas: readonly Replica[]): number[] => replicas.map(({ replicaId }) => replicaId)
  if (json) {
    const found = { clusterId, leaderId, leaderEpoch, highWatermark, largestVoterLag: lag }
    await terminal.write(
      `${JSON.stringify({ ...found, voters: ids(currentVoters), observers: ids(observers) })}\n`,
    )
    return
  }
  const rows = [
    ['cluster', clusterId ?? '-'],
    ['leader', String(leaderId)],
    ['epoch', String(leaderEpoch)],
    ['high watermark', String(highWatermark)],
    ['largest lag of a voter', `${lag} records`],
    ['voters', ids(currentVoters).join(', ')],
    ['observers', ids(observers).join(', ') || '-'],
  ] as const
  await terminal.write(rows.map(([name, value]) => `${name.padEnd(24)}${value}\n`).join(''))
}

async function replication(client: Client, terminal: Terminal, { json }: QuorumOptions): Promise<void> {
  const { partition, nodes } = await describe(client)
  const nowMs = Math.max(
    ...[...partition.currentVoters, ...partition.observers].map((one) => one.lastFetchTimestamp),
  )
  const rows = [
    ...partition.currentVoters.map((replica) => ({
      replica,
      role: replica.replicaId === partition.leaderId ? 'leader' : 'voter',
    })),
    ...partition.observers.map((replica) => ({ replica, role: 'observer' })),
  ].map(({ replica, role }) => ({
    node: replica.replicaId,
    role,
    address: addressOf(nodes, replica.replicaId),
    directoryId: replica.replicaDirectoryId,
    logEndOffset: replica.logEndOffset,
    lag: lagOf(partition, replica),
    lastFetchMs: age(nowMs, replica.lastFetchTimestamp),
    lastCaughtUpMs: age(nowMs, replica.lastCaughtUpTimestamp),
  }))
  if (json) {
    for (const row of rows) await terminal.write(`${JSON.stringify(row)}\n`)
    return
  }
  const ago = (ms: number | null): string => (ms === null ? '-' : `${ms} ms ago`)
  await terminal.write(
    table(
      ['NODE', 'ROLE', 'ADDRESS', 'DIRECTORY', 'END', 'LAG', 'FETCHED', 'CAUGHT UP'],
      rows.map((row) => [
        row.node,
        row.role,
        row.address,
        row.directoryId,
        row.logEndOffset,
        row.lag,
        ago(row.lastFetchMs),
        ago(row.lastCaughtUpMs),
      ]),
    ),
  )
}

async function addVoter(
  client: Client,
  terminal: Terminal,
  id: number,
  options: VoterOptions,
): Promise<void> {
  const { clusterId, partition, nodes } = await describe(client)
  if (partition.currentVoters.some(({ replicaId }) => replicaId === id)) {
    throw new UsageError(`node ${id} votes already`)
  }
  const observer = partition.observers.find(({ replicaId }) => replicaId === id)
  const listeners = nodes.find(({ nodeId }) => nodeId === id)?.listeners ?? []
  if (observer === undefined) {
    const known = partition.observers.map(({ replicaId }) => replicaId).join(', ') || 'nobody'
    throw new UsageError(`node ${id} does not follow the metadata; those that do and have no vote: ${known}`)
  }
  const { errorCode, errorMessage } = await client.send('addRaftVoter', {
    clusterId,
    timeoutMs: options.timeout,
    voterId: id,
    voterDirectoryId: (options.directoryId as Uuid | undefined) ?? observer.replicaDirectoryId,
    listeners,
  })
  checkAnswer(errorCode, `node ${id} did not become a voter`, errorMessage)
  terminal.note(`node ${id} votes`)
}

async function removeVoter(
  client: Client,
  terminal: Terminal,
  id: number,
  options: VoterOptions,
): Promise<void> {
  const { clusterId, partition } = await describe(client)
  const voter = partition.currentVoters.find(({ replicaId }) => replicaId === id)
  if (voter === undefined) throw new UsageError(`node ${id} does not vote`)
  const { errorCode, errorMessage } = await client.send('removeRaftVoter', {
    clusterId,
    voterId: id,
    voterDirectoryId: (options.directoryId as Uuid | undefined) ?? voter.replicaDirectoryId,
  })
  checkAnswer(errorCode, `node ${id} is still a voter`, errorMessage)
  terminal.note(`node ${id} does not vote any more`)
}

async function describe(client: Client): Promise<Quorum> {
  const { clusterId } = await client.metadata([])
  let response: Described
  try {
    response = await client.send('describeQuorum', {
      topics: [{ topicName: metadataTopic, partitions: [{ partitionIndex: 0 }] }],
    })
  } catch (error) {
    if (!(error instanceof EngineError) || error.code !== 'unsupportedVersion') throw error
    throw new EngineError('unsupportedVersion', 'this broker stands alone: it has no quorum', {
      cause: error,
    })
  }
  checkAnswer(response.errorCode, 'the quorum cannot be described', response.errorMessage)
  const partition = response.topics[0]?.partitions[0]
  if (partition === undefined) throw new EngineError('unknownTopicOrPartition', 'there is no quorum')
  checkAnswer(partition.errorCode, 'the quorum cannot be described', partition.errorMessage)
  return { clusterId, partition, nodes: response.nodes }
}

/** Records that the leader has and `replica` has not. */
function lagOf({ currentVoters, leaderId, highWatermark }: Partition, replica: Replica): number {
  const leader = currentVoters.find(({ replicaId }) => replicaId === leaderId)
  return Math.max(0, (leader?.logEndOffset ?? highWatermark) - replica.logEndOffset)
}

function age(nowMs: number, thenMs: number): number | null {
  return thenMs < 0 ? null : Math.max(0, nowMs - thenMs)
}

function addressOf(nodes: Described['nodes'], id: number): string {
  const [listener] = nodes.find(({ nodeId }) => nodeId === id)?.listeners ?? []
  return listener === undefined ? '-' : formatAddress(listener)
}
