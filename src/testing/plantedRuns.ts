import {
  type PlantedBug,
  plant,
  plantedBrokerBugs,
  type plantedBugs,
  plantedReplicaBugs,
} from '../model/planted.ts'
import { type PlantedRaftBug, plantedRaftBugs, plant as plantRaft } from '../raft/planted.ts'
import { type BrokerRunOptions, runBrokers } from './brokers/brokerRun.ts'
import { type RunFailure, type RunOptions, runCluster } from './clusterRun.ts'

/** One of the mistakes that a simulated world has to find. */
export interface WorldBug {
  readonly name: string
  /** Where the mistake is: in the core, in what runs it, in what it stores, or in what brokers make of it. */
  readonly layer: 'raft' | 'replica' | 'storage' | 'broker'
  /** Turns it on, or all mistakes off. */
  plant(isOn: boolean): void
}

/** How a mistake was found. */
export interface FoundBug {
  readonly seed: number
  /** Runs until then, this one included. */
  readonly runs: number
  readonly events: number
  readonly failure: RunFailure
}

/** Mistakes of the storage engine that show in a world; the crash explorer finds the others, see `planted:storage`. */
const storageBugs: readonly (typeof plantedBugs)[number][] = [
  'journalAckBeforeSync',
  'checkpointCopiesBothWritten',
]

/**
 * Mistakes of the core that what runs it makes up for: the driver stores all states of a turn at once, and the transport
 * drops late answers itself. The simulation of the core alone finds them (`test/raft/planted.test.ts`).
 */
const coveredUp: readonly PlantedRaftBug[] = ['voteAnsweredBeforePersist', 'staleFetchApplied']

/** All mistakes, those of the core first. */
export const worldBugs: readonly WorldBug[] = [
  ...plantedRaftBugs
    .filter((name) => !coveredUp.includes(name))
    .map((name): WorldBug => ({ name, layer: 'raft', plant: (isOn) => plantRaft(isOn ? name : null) })),
  ...plantedReplicaBugs.map((name) => worldBug(name, 'replica')),
  ...storageBugs.map((name) => worldBug(name, 'storage')),
  ...plantedBrokerBugs.map((name) => worldBug(name, 'broker')),
]

function worldBug(name: PlantedBug, layer: WorldBug['layer']): WorldBug {
  return { name, layer, plant: (isOn) => plant(isOn ? name : null) }
}

/** Longer than usual, with few records and one fault after the other. */
const long: Partial<RunOptions> = { durationMs: 15_000, perSecond: 8, faultCount: [25, 50], nodes: 3 }
/** Groups that acknowledge from the page cache, and faults that make them forget. */
const relaxed: Partial<RunOptions> = {
  ...long,
  shape: { flush: 'none', kind: 'partition', groups: 1 },
  classes: [
    'powerCut',
    'powerCut',
    'powerCut',
    'kill',
    'partition',
    'partition',
    'transferLeadership',
    'pause',
  ],
}
/** Followers that fall behind, and leaders that cut their logs. */
const snapshots: Partial<RunOptions> = {
  ...long,
  shape: { groups: 1 },
  classes: [
    'snapshot',
    'snapshot',
    'snapshot',
    'partition',
    'partition',
    'powerCut',
    'powerCut',
    'slowDisk',
    'clog',
  ],
}
/** Many elections, power that goes in the middle of them, and disks that take long to store what they are about. */
const elections: Partial<RunOptions> = {
  ...long,
  shape: { groups: 1 },
  classes: [
    'crashAfterVote',
    'crashAfterVote',
    'powerCut',
    'slowDisk',
    'slowDisk',
    'transferLeadership',
    'partition',
  ],
}

/** Voters that come and go while messages take their time. */
const membership: Partial<RunOptions> = {
  ...long,
  shape: { groups: 1 },
  classes: [
    'addVoter',
    'removeVoter',
    'addVoter',
    'removeVoter',
    'transferLeadership',
    'partition',
    'slowDisk',
  ],
}

/** Clusters of brokers in which leaders change while much is asked. */
const brokers: Partial<BrokerRunOptions> = {
  nodes: 3,
  durationMs: 10_000,
  perSecond: 12,
  faultCount: [8, 20],
  classes: [
    'kill',
    'powerCut',
    'partition',
    'partition',
    'pause',
    'crashAfterVote',
    'slowDisk',
    'reset',
    'clog',
  ],
}

/** Brokers whose topics and replicas change all the time. */
const administered: Partial<BrokerRunOptions> = {
  ...brokers,
  adminShare: 0.4,
  classes: ['kill', 'powerCut', 'restart', 'partition', 'pause', 'crashLoop', 'slowDisk'],
}

/** Offsets of groups all the time, and coordinators that are cut off with whoever commits, or die. */
const offsets: Partial<BrokerRunOptions> = {
  ...brokers,
  offsetShare: 0.7,
  aim: '__consumer_offsets',
  classes: ['partition', 'partition', 'partition', 'clog', 'kill', 'powerCut', 'slowLink'],
}

/** A group whose members come, go and fall silent while its coordinator does. */
const grouped: Partial<BrokerRunOptions> = { ...offsets, members: 3 }

/** Nodes without room or descriptors while topics come and go. */
const full: Partial<BrokerRunOptions> = {
  ...administered,
  classes: ['diskFull', 'diskFull', 'noDescriptors', 'noDescriptors', 'kill', 'partition'],
}

/** Idempotent producers with much under way, and leaders and connections that come and go. */
const pipelined: Partial<BrokerRunOptions> = {
  ...brokers,
  idempotentShare: 1,
  perSecond: 20,
  aim: 't0-0',
  classes: [
    'kill',
    'partition',
    'restart',
    'restart',
    'pause',
    'reset',
    'reset',
    'halfOpen',
    'slowDisk',
    'clog',
  ],
}

/** What worlds of brokers are drawn for a mistake. */
const brokerFocus: Readonly<Partial<Record<string, Partial<BrokerRunOptions>>>> = {
  oldImageTrusted: administered,
  reassignedEarly: administered,
  topicIdReused: administered,
  offsetAckedEarly: offsets,
  offsetsLoadedInPart: offsets,
  oldGenerationCommits: grouped,
  assignmentToldEarly: grouped,
  missingLeftOut: full,
  lastBatchKnownAlone: pipelined,
  gapTaken: pipelined,
  refusedForgotten: pipelined,
}

/** The options of either kind of run. */
export type PlantedRun = RunOptions | BrokerRunOptions

/** What worlds are drawn for a mistake, where the usual ones come across it too seldom. */
const focus: Readonly<Partial<Record<PlantedBug | PlantedRaftBug, Partial<RunOptions>>>> = {
  twoVoterChanges: membership,
  voterChangeBeforeCommit: membership,
  removedLeaderCounts: membership,
  votersNotStored: {
    ...long,
    shape: { groups: 1, kind: 'partition' },
    classes: ['addVoter', 'removeVoter', 'addVoter', 'removeVoter', 'kill', 'kill', 'powerCut', 'restart'],
  },
  quarantinedVotes: relaxed,
  quarantinedCounts: relaxed,
  quarantineEndsEarly: relaxed,
  forgettingForgotten: relaxed,
  mountNotCompared: relaxed,
  lateSnapshotInstalled: {
    ...snapshots,
    shape: { groups: 1, fetchBytes: 1 << 10 },
    classes: ['snapshot', 'snapshot', 'slowDisk', 'slowDisk', 'transferLeadership', 'partition', 'partition'],
  },
  snapshotRenamedBeforeSync: snapshots,
  snapshotDeletesLogFirst: snapshots,
  installNotFinished: snapshots,
  voteAgainUnchecked: {
    ...elections,
    perSecond: 40,
    shape: { groups: 1, kind: 'partition', flush: 'batch', confirmation: 'none' },
  },
  sentBeforePersist: elections,
  // A checkpoint is written in a moment now and then: much is written, and power goes often.
  checkpointCopiesBothWritten: {
    ...long,
    perSecond: 60,
    faultCount: [40, 60],
    classes: ['powerCut', 'powerCut', 'powerCut', 'slowDisk'],
  },
  epochStartsReplaced: { ...elections, shape: { kind: 'partition', groups: 1 }, perSecond: 2 },
}

/** The run of a seed with which a mistake is looked for. */
export function plantedRun(bug: WorldBug, seed: number): PlantedRun {
  if (bug.layer === 'broker') return { seed, ...(brokerFocus[bug.name] ?? brokers) }
  return { seed, ...focus[bug.name as PlantedRaftBug] }
}

/** The outcome of a run with which a mistake is looked for. */
function run(
  bug: WorldBug,
  options: PlantedRun,
): Promise<{ readonly failure: RunFailure | null; readonly events: number }> {
  return bug.layer === 'broker' ? runBrokers(options as BrokerRunOptions) : runCluster(options as RunOptions)
}

/**
 * Runs one seed after the other with a mistake turned on, from `seed` on, until a run fails that passes without it; null once
 * `isOver` says so.
 */
export async function findPlanted(
  bug: WorldBug,
  seed: number,
  isOver: () => boolean,
): Promise<FoundBug | null> {
  let events = 0
  for (let runs = 1; !isOver(); runs++, seed++) {
    const options = plantedRun(bug, seed)
    const planted = await runPlanted(bug, options)
    events += planted.events
    if (planted.failure === null) continue
    // What breaks without the mistake as well is not its doing.
    const sound = await run(bug, options)
    if (sound.failure?.id !== planted.failure.id) return { seed, runs, events, failure: planted.failure }
  }
  return null
}

async function runPlanted(
  bug: WorldBug,
  options: PlantedRun,
): Promise<{ readonly failure: RunFailure | null; readonly events: number }> {
  bug.plant(true)
  try {
    return await run(bug, options)
  } finally {
    bug.plant(false)
  }
}
