import type { RaftRequest, RaftResponse } from '../raft/messages.ts'
import type { GroupObserver } from '../replica/observer.ts'
import { groupName, logFacts, wholeSnapshots } from './checkFiles.ts'
import { Checks } from './checks.ts'
import type { Trace } from './trace.ts'
import type { World } from './world.ts'
import type { Running, WorldWatcher } from './worldTypes.ts'

/** How a world is watched. */
export interface WatchOptions {
  /** The data directory of every node. */
  readonly dataDirectory: string
  readonly trace?: Trace | null
  /** See `CheckOptions`. */
  readonly isOverBudget?: boolean
}

/** The checks of a world, and what is to be handed to the hosts of its nodes. */
export interface WorldChecks {
  readonly checks: Checks
  /** For `HostOptions.observer` of a node's program. */
  observer(node: number): GroupObserver
}

/** Has all invariants looked at in a world: the run ends with a `Violation` after the event that breaks the first one. */
export function watchWorld<P extends Running>(world: World<P>, options: WatchOptions): WorldChecks {
  const { dataDirectory, trace = null, isOverBudget = false } = options
  /** Nodes whose disks are not what they were: others are to notice. */
  const harmed = new Set<number>()
  const checks = new Checks({
    readLog: (node, group) => logFacts(world.node(node).fs, `${dataDirectory}/${group}`),
    readSnapshots: (node, group) => wholeSnapshots(world.node(node).fs, `${dataDirectory}/${group}`),
    isOverBudget,
    isAlarmExpected: (code, node) => (code === 'rolledBack' || code === 'mustBeginAnew') && harmed.has(node),
  })
  const watcher: WorldWatcher<P> = {
    starting: ({ id }) => trace?.note(id, 'start', 'starts'),
    stopped({ id }, how) {
      trace?.note(id, 'stop', how)
      checks.stopped(id, how)
    },
    faulted({ number, atMs: _, ...fault }) {
      trace?.note(-1, 'fault', `fault ${number}: ${JSON.stringify(fault)}`)
    },
    diskReplaced({ id }, by) {
      if (by === 'nothing') checks.lostDisk(id)
      else {
        harmed.add(id)
        checks.wentBack(id)
      }
    },
    mayForget: ({ id }) => checks.mayForget(id),
    damaged({ id }) {
      harmed.add(id)
      checks.damaged(id)
    },
    afterEvent() {
      if (checks.violation !== null) throw checks.violation
    },
  }
  world.watch(watcher)
  return {
    checks,
    observer(node) {
      const observer = checks.observer(node)
      return {
        started: (group, config, start) =>
          observer.started(groupName(group.topic, group.partition), config, start),
        stepped(group, event, effects) {
          trace?.stepped(node, event, effects)
          observer.stepped(groupName(group.topic, group.partition), event, effects)
        },
        left(group, to, message, asked) {
          trace?.left(node, to, message, asked)
          observer.left(groupName(group.topic, group.partition), message, asked)
          if (isBindingVote(message, asked)) world.node(node).onVote?.()
        },
        received({ topic, partition }, { message }) {
          // From a damaged disk anything may come; from memory that somebody else uses already, too.
          if (harmed.size > 0 || world.faultCounts.has('lyingFlush')) return
          checks.fail(
            'I19',
            `node ${node} is sent damaged records of ${groupName(topic, partition)}: ${message}`,
          )
        },
      }
    },
  }
}

/** Whether a message asks for or gives a vote that binds. */
export function isBindingVote(message: RaftRequest | RaftResponse, asked: RaftRequest | null): boolean {
  if (message.type !== 'vote') return false
  if (asked === null) return 'candidate' in message && !message.preVote
  return asked.type === 'vote' && !asked.preVote && 'voteGranted' in message && message.voteGranted
}
