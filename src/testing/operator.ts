import { EngineError } from '../model/errors.ts'
import type { Voter } from '../raft.ts'
import type { Group } from '../replica/group.ts'
import type { ClusterNode } from './clusterProgram.ts'
import { EventKind } from './eventKinds.ts'
import type { FaultAction } from './fault.ts'
import { takeSnapshot } from './takeSnapshot.ts'
import type { World } from './world.ts'

/** The running node that leads group number `group` in the latest epoch, as far as anybody knows. */
export function leaderOf(
  world: World<ClusterNode>,
  group: number,
): { readonly id: number; readonly replica: Group } | null {
  let found: { readonly id: number; readonly replica: Group } | null = null
  for (const { id, running } of world.nodes.values()) {
    const replica = running?.groups[group]
    if (replica?.state !== 'leader') continue
    if (found === null || replica.leaderEpoch > found.replica.leaderEpoch) found = { id, replica }
  }
  return found
}

/** Does what an operator would: in every group, at its leader; what is refused is refused. */
export function operate(world: World<ClusterNode>, groups: number, action: FaultAction): void {
  for (let group = 0; group < groups; group++) {
    if (action.kind === 'snapshot') {
      const { id, running } = world.target(action.node)
      const replica = running?.groups[group]
      if (replica !== undefined) on(world, id, () => takeSnapshot(replica))
      continue
    }
    if (action.kind === 'badSector') {
      const { id, running } = world.target(action.node)
      const replica = running?.groups[group]
      if (replica !== undefined) on(world, id, () => readAll(replica))
      continue
    }
    const leader = leaderOf(world, group)
    if (leader === null) continue
    const { id, replica } = leader
    switch (action.kind) {
      case 'transferLeadership':
        on(world, id, () => replica.transferLeadership(action.to))
        break
      case 'addVoter': {
        const voter = voterOf(world, action.node)
        if (voter !== null) on(world, id, () => replica.addVoter(voter))
        break
      }
      case 'removeVoter': {
        const voter = replica.voters.voters.voters.find((each) => each.id === action.node)
        if (voter !== undefined) on(world, id, () => replica.removeVoter(voter))
        break
      }
    }
  }
}

/** Reads all segments that are complete, as the background check does in its time. */
async function readAll(replica: Group): Promise<void> {
  for (const { baseOffset, endOffset } of replica.log.sealedSegments) {
    const isRead = baseOffset >= replica.log.logStartOffset && endOffset <= replica.highWatermark
    if (isRead && replica.failure === null)
      await Promise.resolve(replica.read(baseOffset, 1 << 20)).catch(() => {})
  }
}

function voterOf(world: World<ClusterNode>, node: number): Voter | null {
  const running = world.node(node).running
  if (running === null) return null
  const { directoryId } = running.logs
  const endpoints = [{ name: 'CONTROLLER', ...world.endpointOf(node) }]
  return { id: node, directoryId, endpoints, minVersion: 0, maxVersion: 1 }
}

/** Asks a node as an event of its own. */
function on(world: World<ClusterNode>, node: number, ask: () => Promise<void>): void {
  const target = world.node(node)
  const { session } = target
  world.queue.add(0, EventKind.client, node, () => {
    if (target.session !== session || target.running === null) return
    ask().catch((error: unknown) => {
      if (!(error instanceof EngineError)) throw error
    })
  })
}
