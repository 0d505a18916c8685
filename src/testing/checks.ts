import type { Effect } from '../raft/effects.ts'
import type { RaftEvent } from '../raft/events.ts'
import type { RaftRequest, RaftResponse } from '../raft/messages.ts'
import type { RaftConfig } from '../raft/raftConfig.ts'
import type { RaftStart } from '../raft/raftReplica.ts'
import { type CheckOptions, check, type Ending, type LogFact, Violation } from './checkFacts.ts'
import { GroupChecks } from './checkGroup.ts'
import { LogHistory } from './history.ts'

/** What the checks hear of one replica; the shape of the host's observer, with the group as text. */
export interface NodeObserver {
  started(group: string, config: RaftConfig, start: RaftStart): void
  /** Right after a step and before any of its effects is carried out; `event` is null for the start. */
  stepped(group: string, event: RaftEvent | null, effects: readonly Effect[]): void
  /** A message has waited for what it depends on, and goes on its way; `asked` is the request that it answers. */
  left(group: string, message: RaftRequest | RaftResponse, asked: RaftRequest | null): void
}

/**
 * Invariants I1 to I23 of fault-model.md, as far as replicated logs have them, looked at after every event. Knows what the
 * replicas were told and said, what clients were told, and nothing of the code between. Its calls throw a `Violation`;
 * since whoever calls may catch it, the first one stays in `violation`.
 */
export class Checks {
  readonly #options: CheckOptions
  readonly #groups = new Map<string, GroupChecks>()
  readonly #histories = new Map<string, LogHistory>()
  /** The first promise that was broken. */
  violation: Violation | null = null

  constructor(options: CheckOptions = {}) {
    this.#options = options
  }

  /** The groups that were heard of. */
  get groups(): ReadonlyMap<string, GroupChecks> {
    return this.#groups
  }

  /** How many effects were looked at. */
  get looked(): number {
    let looked = 0
    for (const group of this.#groups.values()) looked += group.checks
    return looked
  }

  /** What a node's host is to be watched by. Nothing that it is told makes it throw: see `violation`. */
  observer(node: number): NodeObserver {
    return {
      started: (group, config, start) =>
        this.#guard(() => this.group(group).started(node, config, start), group),
      stepped: (group, event, effects) => {
        try {
          this.group(group).stepped(node, event, effects)
        } catch (error) {
          this.#keep(error, group)
        }
      },
      left: (group, message, asked) => {
        try {
          this.group(group).left(node, message, asked)
        } catch (error) {
          this.#keep(error, group)
        }
      },
    }
  }

  group(name: string): GroupChecks {
    let group = this.#groups.get(name)
    if (group === undefined) {
      group = new GroupChecks(name, this.#options)
      const history = this.history(name)
      group.onLoss = (fromOffset) => history.lost(fromOffset)
      this.#groups.set(name, group)
    }
    return group
  }

  /** What clients were told of one group's log. */
  history(name: string): LogHistory {
    let history = this.#histories.get(name)
    if (history === undefined) {
      history = new LogHistory(
        name,
        () => this.group(name).commits,
        (violation) => this.#keep(violation),
      )
      this.#histories.set(name, history)
    }
    return history
  }

  /** A node's process has ended. */
  stopped(node: number, how: Ending): void {
    for (const group of this.#groups.values()) this.#guard(() => group.stopped(node, how))
  }

  /** What a node had not synced may be gone. */
  mayForget(node: number): void {
    for (const group of this.#groups.values()) group.mayForget(node)
  }

  /** The disk of a node is gone for good; it comes back as another replica. */
  lostDisk(node: number): void {
    for (const group of this.#groups.values()) group.lostDisk(node)
  }

  /** The disk of a node that does not run was replaced by an earlier copy of itself. */
  wentBack(node: number): void {
    for (const group of this.#groups.values()) group.wentBack(node)
  }

  /** Whether the others would notice if the disk of a node went back to before its last start. */
  mayGoBack(node: number): boolean {
    for (const group of this.#groups.values()) if (!group.mayGoBack(node)) return false
    return true
  }

  /** Faults within the budget may have taken what was durable on a node. */
  damaged(node: number): void {
    for (const group of this.#groups.values()) group.damaged(node)
  }

  /** The running node that leads the first group whose name begins with `prefix`, in its latest epoch; null for nobody. */
  leaderOf(prefix: string): number | null {
    for (const group of this.#groups.values()) if (group.name.startsWith(prefix)) return group.leader
    return null
  }

  /** The nodes that vote in a group, as its leader has it. */
  votersOf(name: string): readonly number[] {
    const group = this.group(name)
    const leader = group.leader === null ? null : group.replica(group.leader)
    return leader?.voters.voters.map(({ id }) => id) ?? []
  }

  /** Every group in a few words. */
  describe(): string {
    return [...this.#groups.values()].map((group) => group.describe()).join('; ')
  }

  /** I22: once all have caught up, they hold the same bytes. `logs` are those of the replicas of one group, by node. */
  checkSameLogs(group: string, logs: ReadonlyMap<number, readonly LogFact[]>): void {
    this.#guard(() => checkSameLogs(group, logs))
  }

  /** I21: a node uses no more than what it may while nothing is asked of it. */
  checkIdle(node: number, allowed: Usage, used: Usage): void {
    this.#guard(() => checkIdle(node, allowed, used))
  }

  /** All that clients were told fits together, in every group: I6, I12, I13 and I23. */
  checkHistories(): void {
    for (const history of this.#histories.values()) history.checkAtEnd()
  }

  /** Reports that something which has to become true did not. */
  fail(id: Violation['id'], message: string): void {
    this.#guard(() => check(false, id, () => message))
  }

  #guard(run: () => void, group = ''): void {
    try {
      run()
    } catch (error) {
      this.#keep(error, group)
    }
  }

  #keep(error: unknown, group = ''): void {
    if (!(error instanceof Violation)) throw error
    if (group !== '' && !error.message.includes(group)) error.message += ` (${group})`
    this.violation ??= error
  }
}

/** I22: every log holds the same batches up to the same end; one may begin later than another, behind a snapshot. */
export function checkSameLogs(group: string, logs: ReadonlyMap<number, readonly LogFact[]>): void {
  let longest: readonly LogFact[] = []
  for (const log of logs.values()) if (log.length > longest.length) longest = log
  for (const [node, log] of logs) {
    const first = log[0]
    if (first === undefined) continue
    let at = longest.findIndex(({ baseOffset }) => baseOffset >= first.baseOffset)
    for (const mine of log) {
      const theirs = longest[at++]
      const isSame =
        theirs !== undefined &&
        mine.baseOffset === theirs.baseOffset &&
        mine.lastOffset === theirs.lastOffset &&
        mine.epoch === theirs.epoch &&
        mine.hash === theirs.hash
      check(isSame, 'I22', () => `${group}: node ${node} holds other bytes at ${mine.baseOffset}`)
    }
    check(
      at === longest.length,
      'I22',
      () => `${group}: the log of node ${node} ends at ${log.at(-1)!.lastOffset}`,
    )
  }
}

/** What a process uses, by name: timers, open files, bytes in queues. */
export type Usage = Readonly<Record<string, number>>

/** I21: nothing is used that was not used before the load. */
export function checkIdle(node: number, before: Usage, after: Usage): void {
  for (const [name, count] of Object.entries(after)) {
    const allowed = before[name] ?? 0
    check(
      count <= allowed,
      'I21',
      () => `node ${node} ends with ${count} of ${name}, it began with ${allowed}`,
    )
  }
}
