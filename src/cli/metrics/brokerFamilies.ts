import type { BrokerStats, PartitionStats, ReplicationStats } from '../../broker/brokerStats.ts'
import type { GroupStats } from '../../broker/groupStats.ts'
import { Families, type Family } from './families.ts'

/** The bounds of what one answer has. */
export interface FamilyLimits {
  /** Partitions on this node above which there are no series for each. */
  readonly maxPartitions: number
}

/** How many times of unread records are read from the disk for one answer. */
const maxLagLookups = 500
/** Series of groups that one answer has, each for a partition of a group. */
const maxGroupSeries = 10_000
const seconds = 0.001

/**
 * What a broker has to say, under the names that Kafka's own numbers have after Prometheus' JMX exporter (its example for
 * Kafka, in lower case) where they mean the same, `kafka_consumergroup_*` as the common exporters of lag have them, and
 * `cordwood_*` for the rest.
 */
export async function brokerFamilies(stats: BrokerStats, limits: FamilyLimits): Promise<readonly Family[]> {
  const families = new Families()
  requests(families, stats)
  flushes(families, stats)
  partitions(families, [...stats.partitions()], limits)
  groups(families, await stats.groups(maxLagLookups))
  storage(families, stats)
  controllers(families, stats)
  replication(families, stats.replication)
  return families.all()
}

function requests(families: Families, stats: BrokerStats): void {
  const duration = 'cordwood_request_duration_seconds'
  const durationHelp = 'From the whole request being there until its answer is, waiting included.'
  families.none(duration, durationHelp, 'histogram')
  let bytesIn = 0
  let bytesOut = 0
  for (const [request, { timeMs, requestBytes, responseBytes, failed }] of stats.requests()) {
    const labels = { request }
    if (request === 'Produce') bytesIn = requestBytes
    if (request === 'Fetch') bytesOut = responseBytes
    families.histogram(duration, durationHelp, timeMs, seconds, labels)
    families.counter('kafka_network_requestmetrics_requests_total', 'Requests.', timeMs.count, labels)
    families.counter('cordwood_request_bytes_total', 'Bytes of requests.', requestBytes, labels)
    families.counter('cordwood_response_bytes_total', 'Bytes of answers.', responseBytes, labels)
    families.counter(
      'cordwood_request_failures_total',
      'Requests that failed as a whole; an error of one of several partitions is not counted.',
      failed,
      labels,
    )
  }
  families.counter(
    'kafka_server_brokertopicmetrics_bytesin_total',
    'Bytes of Produce requests, their framing included.',
    bytesIn,
  )
  families.counter(
    'kafka_server_brokertopicmetrics_bytesout_total',
    'Bytes of answers to Fetch requests of clients, their framing included.',
    bytesOut,
  )
  families.gauge(
    'kafka_server_socket_server_metrics_connection_count',
    'Open connections of clients.',
    stats.connections,
  )
  families.gauge('cordwood_requests_in_flight', 'Requests without an answer yet.', stats.requestsInFlight)
  families.gauge(
    'cordwood_requests_waiting_for_disk',
    'Produce requests that wait for room in the queue of the disk.',
    stats.waitingForDisk,
  )
  families.gauge(
    'kafka_server_delayedoperationpurgatory_purgatorysize',
    'Fetch requests that wait for records.',
    stats.waitingFetches,
    { delayedOperation: 'Fetch' },
  )
  for (const { name: pool, usedBytes, capacityBytes } of stats.pools()) {
    const labels = { pool }
    families.gauge('cordwood_memory_pool_used_bytes', 'Bytes in use of what is bounded.', usedBytes, labels)
    families.gauge('cordwood_memory_pool_capacity_bytes', 'The bound.', capacityBytes, labels)
  }
}

function flushes(families: Families, { journal }: BrokerStats): void {
  families.histogram(
    'cordwood_flush_duration_seconds',
    'From handing a group of writes to the disk until it is durable.',
    journal.stats.flushMs,
    seconds,
  )
  families.histogram(
    'cordwood_flush_writes',
    'Writes that one sync of the journal made durable together.',
    journal.stats.entriesPerFlush,
    1,
  )
  families.counter(
    'cordwood_journal_bytes_total',
    'Bytes made durable through the journal.',
    journal.stats.bytes,
  )
  families.gauge('cordwood_journal_file_bytes', 'Bytes of the files of the journal.', journal.totalBytes)
}

function partitions(
  families: Families,
  found: readonly PartitionStats[],
  { maxPartitions }: FamilyLimits,
): void {
  const leaders = found.filter(({ isLeader }) => isLeader)
  const manager = (name: string, help: string, value: number): void =>
    families.gauge(`kafka_server_replicamanager_${name}`, help, value)
  manager('partitioncount', 'Partitions with a replica here.', found.length)
  manager('leadercount', 'Partitions that are led here.', leaders.length)
  manager(
    'underreplicatedpartitions',
    'Partitions led here with a replica that has not caught up.',
    leaders.filter(isUnderReplicated).length,
  )
  manager(
    'underminisrpartitioncount',
    'Partitions led here with fewer caught-up replicas than min.insync.replicas.',
    leaders.filter(({ isr, minInsyncReplicas }) => isr.length < minInsyncReplicas).length,
  )
  manager(
    'offlinereplicacount',
    'Replicas here whose log cannot be written.',
    found.filter(({ offline }) => offline !== null).length,
  )
  families.gauge('cordwood_log_size_bytes', 'Bytes of all logs of partitions here.', sum(found, 'sizeBytes'))
  const isShown = found.length <= maxPartitions
  families.gauge(
    'cordwood_partitions_without_series',
    'Partitions left out below, because there are more than cordwood.metrics.partitions.max.',
    isShown ? 0 : found.length,
  )
  const each = (name: string, help: string, value: (partition: PartitionStats) => number): void => {
    families.none(name, help)
    if (!isShown) return
    for (const one of found) {
      families.gauge(name, help, value(one), { topic: one.topic, partition: one.partition })
    }
  }
  each('kafka_log_log_logstartoffset', 'First offset.', ({ logStartOffset }) => logStartOffset)
  each(
    'kafka_log_log_logendoffset',
    'Offset of the next record; its rate is records per second.',
    ({ logEndOffset }) => logEndOffset,
  )
  each(
    'cordwood_log_high_watermark',
    'Offset of the first record that may not be read yet.',
    ({ highWatermark }) => highWatermark,
  )
  each('kafka_log_log_size', 'Bytes of the log.', ({ sizeBytes }) => sizeBytes)
  each(
    'kafka_cluster_partition_underreplicated',
    '1 for a partition led here with a replica that has not caught up.',
    (partition) => (partition.isLeader && isUnderReplicated(partition) ? 1 : 0),
  )
}

function isUnderReplicated({ replicas, isr }: PartitionStats): boolean {
  return isr.length < replicas.length
}

function sum(found: readonly PartitionStats[], name: 'sizeBytes'): number {
  return found.reduce((total, partition) => total + partition[name], 0)
}

function groups(families: Families, found: readonly GroupStats[]): void {
  families.gauge(
    'kafka_coordinator_group_groupmetadatamanager_numgroups',
    'Consumer groups that this node coordinates.',
    found.length,
  )
  const states = new Map<string, number>()
  for (const { state } of found) states.set(state, (states.get(state) ?? 0) + 1)
  families.none('cordwood_groups', 'Consumer groups that this node coordinates, by state.')
  for (const [state, count] of states) {
    families.gauge('cordwood_groups', 'Consumer groups that this node coordinates, by state.', count, {
      state,
    })
  }
  const offsetHelp = 'Committed offset.'
  const lagHelp = 'Records that a group has not read, where this node has a replica of the partition.'
  const ageHelp = 'Age of the first batch that a group has not read to its end; 0 when it has read all.'
  families.none('kafka_consumergroup_current_offset', offsetHelp)
  families.none('kafka_consumergroup_lag', lagHelp)
  families.none('kafka_consumergroup_lag_seconds', ageHelp)
  let series = 0
  for (const { groupId, partitions: committed } of found) {
    for (const { topic, partition, committedOffset, lag, lagMs } of committed) {
      if (++series > maxGroupSeries) continue
      const labels = { consumergroup: groupId, topic, partition }
      families.gauge('kafka_consumergroup_current_offset', offsetHelp, committedOffset, labels)
      if (lag !== null) families.gauge('kafka_consumergroup_lag', lagHelp, lag, labels)
      if (lagMs !== null) {
        families.gauge('kafka_consumergroup_lag_seconds', ageHelp, lagMs * seconds, labels)
      }
    }
  }
  families.gauge(
    'cordwood_group_partitions_without_series',
    `Partitions of groups left out above, because there are more than ${maxGroupSeries}.`,
    Math.max(0, series - maxGroupSeries),
  )
}

function storage(families: Families, stats: BrokerStats): void {
  const { ranges, bytes } = stats.damage
  families.gauge(
    'cordwood_damaged_ranges',
    'Stretches of files that are known to be damaged and are not served.',
    ranges,
  )
  families.gauge('cordwood_damaged_bytes', 'Bytes of them.', bytes)
  families.counter('cordwood_scrubbed_bytes_total', 'Bytes of sealed segments checked.', stats.scrubbedBytes)
}

function controllers(families: Families, stats: BrokerStats): void {
  const { topics, partitions: count } = stats.cluster
  const { replication: found } = stats
  const controller = (name: string, help: string, value: number): void =>
    families.gauge(`kafka_controller_kafkacontroller_${name}`, help, value)
  controller('globaltopiccount', 'Topics of the cluster, internal ones included.', topics)
  controller('globalpartitioncount', 'Partitions of the cluster, internal ones included.', count)
  controller('offlinepartitionscount', 'Partitions of the cluster that nobody leads.', stats.leaderless)
  controller(
    'activecontrollercount',
    '1 on the node that decides for the cluster.',
    found === null || found.isActiveController ? 1 : 0,
  )
  controller('activebrokercount', 'Brokers that clients are sent to.', found?.activeBrokers ?? 1)
  controller(
    'fencedbrokercount',
    'Brokers that the controller does not hear from.',
    found?.fencedBrokers ?? 0,
  )
}

/** Numbers of a cluster; on a broker that stands alone they are 0, so that dashboards need not know. */
function replication(families: Families, found: ReplicationStats | null): void {
  const { elections = 0, elected = 0, leaderChanges = 0, failed = 0, revived = 0 } = found?.host ?? {}
  const { quorum, appliedOffset = 0, repairs } = found ?? {}
  families.counter('cordwood_elections_total', 'Elections that a replica here stood for.', elections)
  families.counter('cordwood_elections_won_total', 'Times that a replica here began to lead.', elected)
  families.counter(
    'cordwood_leader_changes_total',
    'Times that a replica here learned of another leader.',
    leaderChanges,
  )
  families.counter(
    'cordwood_replicas_failed_total',
    'Replicas here that were taken out of use because their log failed.',
    failed,
  )
  families.counter('cordwood_replicas_revived_total', 'Replicas that took part again after that.', revived)
  const alarmHelp = 'Alarms of replicas here, by what they are about.'
  families.none('cordwood_replica_alarms_total', alarmHelp, 'counter')
  for (const [code, count] of found?.host.alarms ?? []) {
    families.counter('cordwood_replica_alarms_total', alarmHelp, count, { code })
  }
  families.counter(
    'cordwood_damage_found_total',
    'Damaged stretches that were found in replicas here.',
    repairs?.found ?? 0,
  )
  families.counter(
    'cordwood_repairs_total',
    'Damaged stretches that were taken from another replica.',
    repairs?.mended ?? 0,
  )
  families.counter('cordwood_repaired_bytes_total', 'Bytes of them.', repairs?.mendedBytes ?? 0)
  families.counter(
    'cordwood_repairs_failed_total',
    'Attempts at a repair that came to nothing; they are tried again.',
    repairs?.failed ?? 0,
  )
  families.counter(
    'cordwood_snapshots_replaced_total',
    'Snapshots that were damaged or missing here, and were replaced: by the log, or by that of another replica.',
    found?.host.snapshotsReplaced ?? 0,
  )
  const { quarantined = 0, rebuilding = 0, rebuilt = 0, beganAnew = null } = found?.health ?? {}
  families.gauge(
    'cordwood_replicas_quarantined',
    'Replicas here that may have forgotten what they claimed: their votes do not count as others do until they have caught up.',
    quarantined,
  )
  families.gauge(
    'cordwood_replicas_rebuilding',
    'Replicas here that are being made from those of others: the disk is new or was put aside, or partitions move here.',
    rebuilding,
  )
  families.counter('cordwood_replicas_rebuilt_total', 'Replicas here that have been.', rebuilt)
  families.gauge(
    'cordwood_directory_began_anew_timestamp_seconds',
    'When the data directory was put aside and began anew, because it had forgotten what others know of it; 0 if never.',
    beganAnew === null ? 0 : beganAnew.atMs / 1000,
  )
  const raft = (name: string, help: string, value: number): void =>
    families.gauge(`kafka_server_raft_metrics_${name}`, help, value)
  raft('current_leader', 'The node that leads the metadata; -1 while nobody does.', quorum?.leaderId ?? -1)
  raft('current_epoch', 'Its epoch.', quorum?.leaderEpoch ?? 0)
  raft(
    'high_watermark',
    'End of the metadata that is committed, as far as known here.',
    quorum?.highWatermark ?? 0,
  )
  families.gauge(
    'kafka_server_broker_metadata_metrics_last_applied_record_offset',
    'The last offset of the metadata that this node has taken in.',
    appliedOffset - 1,
  )
}
