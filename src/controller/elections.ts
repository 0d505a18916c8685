import { EngineError } from '../model/errors.ts'
import { CallKind } from '../replica/nodes/nodeCalls.ts'
import type { NodeRouter } from '../replica/nodes/nodeRouter.ts'
import type { Clock } from '../runtime/clock.ts'
import { inParallel } from '../segment/inParallel.ts'
import type { Outcome } from './commands.ts'
import type { MetadataImage, PartitionImage, TopicImage } from './image.ts'
import type { TopicPartition } from './metadata.ts'

/** Whom an election is to bring to lead: the first replica, or anybody where nobody leads, with the loss that this may mean. */
export type Election = 'preferred' | 'unclean'

/** What holding elections needs of the node. */
export interface ElectionWorld {
  readonly image: MetadataImage
  readonly router: NodeRouter
  readonly clock: Clock
}

/** After how long a leader is looked for again that was asked for. Milliseconds. */
const pollMs = 20
/** For how long nobody has to have led before a loss is accepted, and how long a replica has to answer. Milliseconds. */
const patienceMs = 2000
const answerMs = 500
/** How soon replicas are asked again. Milliseconds. */
const standAgainMs = 100
/** Unclean elections at the same time: each asks all replicas of its partition several times a second. */
const mostUnclean = 256

/** The partitions that an election of all may have something to do for. */
function electable(image: MetadataImage, election: Election): readonly TopicPartition[] {
  // What the image has of a leader is what that one has said last: it does not tell that nobody leads.
  const mayWant = ({ leader, replicas }: PartitionImage): boolean =>
    election === 'unclean' || leader !== replicas[0]
  return [...image.topics.values()].flatMap(({ name: topic, partitions }) =>
    partitions.filter(mayWant).map(({ partition }) => ({ topic, partition })),
  )
}

/** Holds an election for each of `partitions` (null: all that may want one); what became of each, in their order. */
export async function electAll(
  election: Election,
  world: ElectionWorld,
  partitions: readonly TopicPartition[] | null,
  timeoutMs: number,
): Promise<readonly (TopicPartition & { readonly outcome: Outcome<null> })[]> {
  const endMs = world.clock.monotonicMs() + timeoutMs
  const asked = partitions ?? electable(world.image, election)
  const outcomes: Outcome<null>[] = asked.map(() => null)
  const parallel = election === 'unclean' ? mostUnclean : asked.length
  await inParallel([...asked.entries()], parallel, async ([index, each]) => {
    try {
      await elect(election, world, each, endMs)
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      outcomes[index] = error
    }
  })
  return asked.map((each, index) => ({ ...each, outcome: outcomes[index]! }))
}

/**
 * Brings somebody to lead and resolves once the image shows it, at `endMs` of the clock at the latest. Rejects with
 * `unknownTopicOrPartition`, `electionNotNeeded`, `preferredLeaderNotAvailable`, `eligibleLeadersNotAvailable`, `requestTimedOut`,
 * and with what a leader says that is to hand over.
 */
async function elect(
  election: Election,
  world: ElectionWorld,
  { topic: name, partition }: TopicPartition,
  endMs: number,
): Promise<void> {
  const topic = world.image.topics.get(name)
  if (topic?.partitions[partition] === undefined) {
    throw new EngineError('unknownTopicOrPartition', `There is no partition ${name}-${partition}.`)
  }
  if (election === 'preferred') await handOver(world, topic, partition, endMs)
  else await acceptLoss(world, topic, partition, endMs)
}

/** Has the leader hand over to the first replica. */
async function handOver(
  { image, router, clock }: ElectionWorld,
  topic: TopicImage,
  partition: number,
  endMs: number,
): Promise<void> {
  const known = topic.partitions[partition]!
  const preferred = known.replicas[0]!
  if (known.leader === preferred) {
    throw new EngineError('electionNotNeeded', 'Leader election not needed for topic partition.')
  }
  const broker = image.brokers.get(preferred)
  if (broker === undefined || broker.fenced || !known.isr.includes(preferred) || known.leader < 0) {
    throw new EngineError('preferredLeaderNotAvailable', 'The preferred leader was not available.')
  }
  const call = { topicId: topic.id, topic: topic.name, partition, json: String(preferred) }
  const leftMs = Math.max(1, endMs - clock.monotonicMs())
  await router.ask(known.leader, { kind: CallKind.transferLeadership, ...call }, leftMs)
  while (topic.partitions[partition]?.leader !== preferred) {
    if (router.isClosed || clock.monotonicMs() >= endMs) {
      throw new EngineError('requestTimedOut', `${topic.name}-${partition} has no new leader yet`)
    }
    await router.pause(pollMs)
  }
}

/**
 * Has all replicas stand, those that may have forgotten records like all others, until one of them leads. It takes a majority of
 * them all the same, and who has most leads: nothing is lost that one of that majority has. Source: fault model, section 2.
 */
async function acceptLoss(
  { router, clock }: ElectionWorld,
  topic: TopicImage,
  partition: number,
  endMs: number,
): Promise<void> {
  const { replicas, leaderEpoch } = topic.partitions[partition]!
  const call = { topicId: topic.id, topic: topic.name, partition }
  const ask = (kind: typeof CallKind.readIndex | typeof CallKind.uncleanElection, timeoutMs: number) =>
    replicas.map((id) => router.ask(id, { kind, ...call }, timeoutMs))
  // An election by itself takes less time, and loses nothing.
  const patientUntilMs = Math.min(endMs, clock.monotonicMs() + patienceMs)
  do {
    // Whoever leads finds out that a majority still follows.
    const leads = await Promise.allSettled(ask(CallKind.readIndex, answerMs))
    if (leads.some(({ status }) => status === 'fulfilled')) {
      throw new EngineError('electionNotNeeded', 'Leader election not needed for topic partition.')
    }
    await router.pause(standAgainMs)
  } while (clock.monotonicMs() < patientUntilMs && !router.isClosed)
  if (clock.monotonicMs() >= endMs)
    throw new EngineError('requestTimedOut', 'there was no time to find out whether nobody leads')
  while ((topic.partitions[partition]?.leaderEpoch ?? -1) <= leaderEpoch) {
    if (router.isClosed || clock.monotonicMs() >= endMs) {
      const text = 'no majority of the replicas is there to elect one of them, whatever may be lost'
      throw new EngineError('eligibleLeadersNotAvailable', text)
    }
    // Who is not there, or follows, says so: whether that stays so is seen in time.
    await Promise.allSettled(ask(CallKind.uncleanElection, standAgainMs))
    await router.pause(standAgainMs)
  }
}
