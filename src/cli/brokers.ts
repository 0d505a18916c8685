import type { Command } from 'commander'
import type { Client, ResponseOf, TopicMetadata } from './client.ts'
import { addConnectOptions, type ConnectOptions, withClient } from './connect.ts'
import { formatAddress } from './options.ts'
import { table } from './table.ts'
import type { Terminal } from './terminal.ts'
import { bytesText } from './units.ts'

interface BrokersOptions extends ConnectOptions {
  readonly json?: true
}

/** What one broker says of its disk; null where it did not answer. */
interface DiskUse {
  readonly logBytes: number
  readonly freeBytes: number
  readonly totalBytes: number
  /** Damaged stretches that are not served, and those mended since the broker started; -1 where a broker does not tell. */
  readonly damagedRanges: number
  readonly damagedBytes: number
  readonly repairedRanges: number
  /** Replicas that may have forgotten something, that are made from those of others, and that were since the broker started. */
  readonly quarantined: number
  readonly rebuilding: number
  readonly rebuilt: number
  /** When the directory began anew because it could not be trusted, milliseconds since 1970, and why; -1 if it never did. */
  readonly beganAnewMs: number
  readonly beganAnewReason: string
}

const examples = `
Examples:
  $ cordwood brokers
  $ cordwood brokers --json

STATE is "up", "controller" for the one that leads the metadata, "fenced" for one that the controller does not hear from, or
"silent" for one that does not answer here. LOGS is what the logs of partitions take, FREE the room on their disk. DAMAGE says
how many stretches of files are damaged and not served, and how many were mended from other brokers since it started. Lines below
the table tell of brokers that make replicas anew, have some that may have forgotten something, or had to put their disk aside.`

/** `brokers`: who is in the cluster, and what each of them has. */
export function defineBrokers(command: Command, terminal: Terminal): void {
  addConnectOptions(command)
    .option('--json', 'one JSON object a line')
    .addHelpText('after', examples)
    .action((options: BrokersOptions) => withClient(options, (client) => show(client, terminal, options)))
}

async function show(client: Client, terminal: Terminal, options: BrokersOptions): Promise<void> {
  const includeFencedBrokers = (await client.version('describeCluster')) >= 2
  const cluster = await client.send('describeCluster', includeFencedBrokers ? { includeFencedBrokers } : {})
  const { topics } = await client.metadata(null)
  const brokers = await Promise.all(
    [...cluster.brokers]
      .sort((a, b) => a.brokerId - b.brokerId)
      .map(async ({ brokerId, host, port, rack, isFenced }) => {
        const disk = isFenced ? null : await diskUse(client, brokerId)
        const isController = brokerId === cluster.controllerId
        const state = isFenced ? 'fenced' : disk === null ? 'silent' : isController ? 'controller' : 'up'
        return {
          id: brokerId,
          address: formatAddress({ host, port }),
          rack,
          state,
          ...counts(topics, brokerId),
          disk,
        }
      }),
  )
  if (options.json) {
    for (const broker of brokers) await terminal.write(`${JSON.stringify(broker)}\n`)
    return
  }
  terminal.note(`cluster ${cluster.clusterId}`)
  await terminal.write(
    table(
      ['BROKER', 'ADDRESS', 'RACK', 'STATE', 'LEADERS', 'REPLICAS', 'BEHIND', 'LOGS', 'FREE', 'DAMAGE'],
      brokers.map(({ id, address, rack, state, leaders, replicas, behind, disk }) => [
        id,
        address,
        rack ?? '-',
        state,
        leaders,
        replicas,
        behind,
        disk === null ? '-' : bytesText(disk.logBytes),
        disk === null || disk.freeBytes < 0 ? '-' : bytesText(disk.freeBytes),
        damageText(disk),
      ]),
    ),
  )
  for (const { id, disk } of brokers) {
    for (const line of disk === null ? [] : troubles(disk)) await terminal.write(`broker ${id}: ${line}\n`)
  }
}

/** What is or was wrong with the replicas of a broker, a line each. */
function troubles(disk: DiskUse): readonly string[] {
  const { quarantined, rebuilding, rebuilt, beganAnewMs, beganAnewReason } = disk
  const lines: string[] = []
  if (beganAnewMs >= 0) {
    lines.push(
      `its disk was put aside on ${new Date(beganAnewMs).toISOString()} and began anew: ${beganAnewReason}`,
    )
  }
  if (rebuilding > 0) lines.push(`${replicas(rebuilding)} being made from those of other brokers`)
  if (rebuilt > 0)
    lines.push(`${replicas(rebuilt, 'was', 'were')} made from those of other brokers since it started`)
  if (quarantined > 0) {
    lines.push(
      `${replicas(quarantined)} in quarantine, as they may have forgotten something, until they have caught up`,
    )
  }
  return lines
}

function replicas(count: number, one = 'is', many = 'are'): string {
  return count === 1 ? `1 replica ${one}` : `${count} replicas ${many}`
}

/** Partitions that the broker leads, has, and has not caught up in. */
function counts(
  topics: readonly TopicMetadata[],
  id: number,
): { readonly leaders: number; readonly replicas: number; readonly behind: number } {
  const partitions = topics.flatMap((topic) => topic.partitions)
  const here = partitions.filter(({ replicas }) => replicas.includes(id))
  return {
    leaders: partitions.filter(({ leader }) => leader === id).length,
    replicas: here.length,
    behind: here.filter(({ isr }) => !isr.includes(id)).length,
  }
}

async function diskUse(client: Client, nodeId: number): Promise<DiskUse | null> {
  let response: ResponseOf<'describeLogDirs'>
  try {
    response = await client.send('describeLogDirs', { topics: null }, { nodeId })
  } catch {
    return null
  }
  const use = {
    logBytes: 0,
    freeBytes: -1,
    totalBytes: -1,
    damagedRanges: -1,
    damagedBytes: -1,
    repairedRanges: -1,
    quarantined: 0,
    rebuilding: 0,
    rebuilt: 0,
    beganAnewMs: -1,
    beganAnewReason: '',
  }
  for (const { topics, usableBytes, totalBytes, own } of response.results) {
    if (own !== null) {
      use.damagedRanges = Math.max(use.damagedRanges, 0) + own.damagedRanges
      use.damagedBytes = Math.max(use.damagedBytes, 0) + own.damagedBytes
      use.repairedRanges = Math.max(use.repairedRanges, 0) + own.repairedRanges
      use.quarantined += own.quarantined
      use.rebuilding += own.rebuilding
      use.rebuilt += own.rebuilt
      use.beganAnewMs = own.beganAnewMs
      use.beganAnewReason = own.beganAnewReason
    }
    for (const { partitions } of topics)
      for (const { partitionSize } of partitions) use.logBytes += partitionSize
    use.freeBytes = Math.max(use.freeBytes, 0) + usableBytes
    use.totalBytes = Math.max(use.totalBytes, 0) + totalBytes
  }
  return use
}

function damageText(disk: DiskUse | null): string {
  if (disk === null || disk.damagedRanges < 0) return '-'
  const { damagedRanges, repairedRanges } = disk
  const mended = repairedRanges > 0 ? `, ${repairedRanges} mended` : ''
  return damagedRanges === 0 && mended === '' ? 'none' : `${damagedRanges}${mended}`
}
