import { EngineError } from '../../model/errors.ts'
import type { Logger } from '../../model/logger.ts'
import { zeroUuid } from '../../model/uuid.ts'
import type { ReplicaKey, Voter } from '../../raft.ts'
import type { LogDirectory } from '../../segment/logDirectory.ts'
import type { Group } from '../group.ts'
import { decodePlace, encodePlace, type Place, stateKind } from '../groupStates.ts'
import { NotLeaderError } from '../notLeader.ts'
import { CallKind, votersSaid } from './nodeCalls.ts'
import type { NodeRouter } from './nodeRouter.ts'

/** How long until the next step towards a membership is tried. */
const retryMs = 200
/** How long finding out who another node is may take. */
export const helloTimeoutMs = 2000

/** What becoming a voter needs of the node. */
export interface JoiningOptions {
  readonly metadata: Group
  readonly router: NodeRouter
  readonly logger: Logger
  /** This node as a voter. */
  readonly self: Voter
  /** Whether to ask for a place among the voters. */
  readonly autoJoin: boolean
  /** Given: takes its place without `autoJoin`, where a voter of this id has another directory, or settings give it one. */
  readonly place?: OwnPlace
  /** The cluster's voters are others, and this node does not join them by itself. Called once. */
  leftOut?(voterIds: readonly number[]): void
  isClosed(): boolean
}

/** A directory's note of its place, durable: a new disk that was stopped on its way to the old one's place goes on. */
export interface OwnPlace {
  read(): Place
  write(place: Place): Promise<void>
}

/** Where the node's data directory has that note. */
export function placeIn(logs: LogDirectory, { log }: Group): OwnPlace {
  return {
    read: () => decodePlace(logs.stateOf(log, stateKind.place)),
    write: (next) => logs.putState(log, stateKind.place, encodePlace(next)),
  }
}

/**
 * Sees to this node's place in the voter set of the metadata log: the leader of a static set writes it into the log with every
 * voter's directory, so that a lost disk is noticed from then on; who is to join asks until it has joined, once; who has moved
 * says where it is. A directory that was a voter and is none any more was removed: it waits to be asked.
 */
export async function lookAfterMembership(options: JoiningOptions): Promise<void> {
  const { metadata, router, place, self, isClosed, logger } = options
  let isSettled = false
  let isTold = false
  while (!isClosed() && metadata.failure === null) {
    const { voters } = metadata.voters
    const known = voters.get(self.id)
    try {
      if (voters.voters.some(({ directoryId }) => directoryId === zeroUuid)) {
        if (metadata.state === 'leader') await metadata.upgradeVersion()
      } else if (isSettled) {
        return
      } else if (known !== null && known.directoryId === self.directoryId) {
        if (hasMoved(known, self)) await callVoters(options, 'update', self)
        else if (metadata.leaderId >= 0) {
          await place?.write('voter')
          isSettled = true
        }
      } else if (metadata.leaderId >= 0 && voters.voters.length > 0) {
        const isGiven: boolean = isTold || (await takePlace(options, known))
        if (!isGiven) options.leftOut?.(voters.voters.map(({ id }) => id))
        isTold ||= !isGiven
      }
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      // Nobody leads, somebody has not fetched yet, another change is under way: all of that passes.
      logger.debug('the voter set cannot be changed yet', { error: error.message })
    }
    await router.pause(retryMs)
  }
}

/** One step towards the place of `known`, or an empty one; false when there is none for this node. Throws what the leader says. */
async function takePlace(options: JoiningOptions, known: Voter | null): Promise<boolean> {
  const { metadata, router, autoJoin, place, self } = options
  const isClaimed = autoJoin || (place !== undefined && (known !== null || place.read() === 'claimed'))
  if (!isClaimed && (place === undefined || place.read() === 'voter')) return known !== null
  // Throws if whoever is to go is alive.
  const hello = { kind: CallKind.hello, directoryId: self.directoryId }
  const { payload } = await router.ask(metadata.leaderId, hello, helloTimeoutMs)
  if (!isClaimed && !votersSaid(payload).includes(self.id)) return false
  await place?.write('claimed')
  if (known !== null) await callVoters(options, 'remove', known)
  else await callVoters(options, 'add', self)
  return true
}

/**
 * Has the leader of the metadata log change its voters, waiting for changes that are under way and for a voter that has to catch
 * up. Throws what the leader says.
 */
export async function callVoters(
  { metadata, router }: Pick<JoiningOptions, 'metadata' | 'router'>,
  change: 'add' | 'remove' | 'update',
  voter: Voter,
): Promise<void> {
  const kinds = { add: CallKind.addVoter, remove: CallKind.removeVoter, update: CallKind.updateVoter }
  const endMs = router.nowMs + router.timeoutMs
  for (let isFirst = true; ; isFirst = false) {
    try {
      await router.run({
        group: metadata,
        name: 'the metadata log',
        repeatable: false,
        local: () => changeVoters(metadata, change, voter),
        request: { kind: kinds[change], json: JSON.stringify(voter) },
        result: () => {},
      })
      return
    } catch (error) {
      const code = error instanceof EngineError ? error.code : ''
      // An earlier attempt was successful after all.
      if (!isFirst && (code === 'duplicateVoter' || code === 'voterNotFound')) return
      const mayPass = code === 'requestTimedOut' || code === 'networkException'
      if (!mayPass || router.nowMs + retryMs >= endMs) throw error
    }
    await router.pause(retryMs)
  }
}

/** Changes the voters of the metadata log, which this node leads. */
export function changeVoters(
  metadata: Group,
  change: 'add' | 'remove' | 'update',
  voter: Voter,
): Promise<void> {
  if (metadata.state !== 'leader') return Promise.reject(new NotLeaderError(metadata.leaderId))
  if (metadata.voters.voters.voters.some(({ directoryId }) => directoryId === zeroUuid)) {
    const text = 'the voters of a new cluster are written down once their directories are known'
    return Promise.reject(new EngineError('requestTimedOut', text))
  }
  const key: ReplicaKey = { id: voter.id, directoryId: voter.directoryId }
  if (change === 'add') return metadata.addVoter(voter)
  return change === 'remove' ? metadata.removeVoter(key) : metadata.updateVoter(voter)
}

function hasMoved(known: Voter, self: Voter): boolean {
  return JSON.stringify(known.endpoints) !== JSON.stringify(self.endpoints)
}
