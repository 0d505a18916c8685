import { EngineError } from '../../model/errors.ts'
import type { Uuid } from '../../model/uuid.ts'
import type { GroupObserver } from '../../replica/observer.ts'
import type { GroupRef } from '../../replica/transport.ts'
import { logFacts, wholeSnapshots } from '../checkFiles.ts'
import { Checks } from '../checks.ts'
import { isBindingVote } from '../checkWatcher.ts'
import type { Trace } from '../trace.ts'
import type { World } from '../world.ts'
import { type BrokerNode, brokerDirectory } from './brokerProgram.ts'

/** The name of a partition in checks: topics come and go, and may have the name of an earlier one. */
export function groupNameOf(topic: string, partition: number, topicId: Uuid): string {
  return `${topic}-${partition}@${topicId}`
}

/** The directory of the group of that name. */
export function directoryOf(group: string): string {
  return `${brokerDirectory}/${group.slice(0, group.indexOf('@'))}`
}

/**
 * Has all invariants of replicated logs looked at in a world of brokers: of their metadata and of every partition, but for groups
 * that `isDeleted`: they come back empty where their node does not know yet that they are gone.
 */
export function watchBrokers(
  world: World<BrokerNode>,
  trace: Trace | null,
  isDeleted: (group: string) => boolean,
): { readonly checks: Checks; observer(node: number): GroupObserver } {
  /** Nodes whose disks are not what they were: others are to notice. */
  const harmed = new Set<number>()
  const checks = new Checks({
    isAlarmExpected: (code, node) => (code === 'rolledBack' || code === 'mustBeginAnew') && harmed.has(node),
    readLog: (node, group) => logFacts(world.node(node).fs, directoryOf(group)),
    readSnapshots: (node, group) => wholeSnapshots(world.node(node).fs, directoryOf(group)),
  })
  world.watch({
    starting: ({ id }) => trace?.note(id, 'start', 'starts'),
    stopped({ id }, how, error) {
      // What is no error of the engine's is a bug.
      if (how === 'failed' && !(error instanceof EngineError)) throw error
      trace?.note(id, 'stop', how)
      checks.stopped(id, how)
    },
    faulted({ number, atMs: _, ...fault }) {
      trace?.note(-1, 'fault', `fault ${number}: ${JSON.stringify(fault)}`)
    },
    diskReplaced({ id }, by) {
      if (by !== 'nothing') harmed.add(id)
      if (by === 'nothing') checks.lostDisk(id)
      else checks.wentBack(id)
    },
    mayForget: ({ id }) => checks.mayForget(id),
    damaged({ id }) {
      harmed.add(id)
      checks.damaged(id)
    },
    afterEvent() {
      if (checks.violation !== null) throw checks.violation
    },
  })
  const names = new Map<GroupRef, string>()
  const nameOf = (group: GroupRef): string => {
    let name = names.get(group)
    if (name === undefined) {
      name = groupNameOf(group.topic, group.partition, group.topicId)
      names.set(group, name)
    }
    return name
  }
  return {
    checks,
    observer(node) {
      const observer = checks.observer(node)
      return {
        started(group, config, start) {
          const name = nameOf(group)
          if (!isDeleted(name)) observer.started(name, config, start)
        },
        stepped(group, event, effects) {
          trace?.stepped(node, event, effects)
          const name = nameOf(group)
          if (!isDeleted(name)) observer.stepped(name, event, effects)
        },
        left(group, to, message, asked) {
          trace?.left(node, to, message, asked)
          const name = nameOf(group)
          if (!isDeleted(name)) observer.left(name, message, asked)
          if (isBindingVote(message, asked)) world.node(node).onVote?.()
        },
        received(group, { message }) {
          const name = nameOf(group)
          // From a damaged disk anything may come; from memory that somebody else uses already, too.
          if (harmed.size > 0 || isDeleted(name)) return
          checks.fail('I19', `node ${node} is sent damaged records of ${name}: ${message}`)
        },
      }
    },
  }
}
