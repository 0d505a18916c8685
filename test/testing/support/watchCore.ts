import type { LogFact } from '../../../src/testing/checkFacts.ts'
import { GroupChecks } from '../../../src/testing/checkGroup.ts'
import type { LogState } from '../../raft/support/simDisk.ts'
import type { World, WorldObserver } from '../../raft/support/world.ts'

/** Has the checks of the simulator look at a world of the core's own simulation. */
export function watchCore(world: World): GroupChecks {
  const checks = new GroupChecks('group', {
    readLog: (node) => factsOf(world.nodes.get(node)!.disk.cache),
    isAlarmExpected: (code) => (code === 'rolledBack' || code === 'mustBeginAnew') && world.isRollbackAllowed,
  })
  const observer: WorldObserver = {
    started: (node, config, start) => checks.started(node.id, config, start),
    stepped: (node, event, effects) => checks.stepped(node.id, event, effects),
    left: (node, _to, message, asked) => checks.left(node.id, message, asked),
    stopped: (node, how) => checks.stopped(node.id, how),
    lost: (node) => checks.lostDisk(node.id),
    wentBack: (node) => checks.wentBack(node.id),
  }
  world.observer = observer
  return checks
}

function factsOf({ batches }: LogState): readonly LogFact[] {
  return batches.map(({ baseOffset, lastOffset, leaderEpoch, control, records }) => ({
    baseOffset,
    lastOffset,
    epoch: leaderEpoch,
    hash:
      control.length > 0 || typeof records !== 'number'
        ? textHash(control.length > 0 ? '' : records)
        : records,
  }))
}

function textHash(records: unknown): number {
  if (records === '') return 0
  let hash = 0x811c9dc5
  const text = String(records)
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return hash >>> 0
}
