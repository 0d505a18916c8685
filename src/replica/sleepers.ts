import type { Clock } from '../runtime/clock.ts'
import type { Due, TimerWheel } from './timerWheel.ts'
import type { Transport } from './transport.ts'

/** What another node is to a group: its leader, or one of its followers. */
export type Role = 'leader' | 'follower'

/** How long a group that has nothing to do may sleep. */
const longestSleepMs = 30_000
/** Groups are looked after together, so that the process wakes up less often. */
const gridMs = 256

/** When a group that falls asleep is looked after; not all of those in one moment that fall asleep in one. */
export function nextLookMs(nowMs: number, { partition }: { readonly partition: number }): number {
  const sooner = (partition * 7919) % (longestSleepMs / 2)
  return Math.floor((nowMs + longestSleepMs - sooner) / gridMs) * gridMs
}

/** A group that may sleep. */
export interface Sleeper extends Due {
  /** Looks at what is due. */
  wake(): void
}

/** The groups that rest on one session with one node. */
class Session implements Due {
  dueMs = Number.POSITIVE_INFINITY
  slotMs = Number.POSITIVE_INFINITY
  readonly sleepers = new Set<Sleeper>()
  readonly #look: (session: Session, nowMs: number) => void

  constructor(look: (session: Session, nowMs: number) => void) {
    this.#look = look
  }

  fire(nowMs: number): void {
    this.#look(this, nowMs)
  }
}

/**
 * Groups that have nothing to do but to see that others live. They need no timer as long as the session with those nodes shows
 * it: one look at the session does for all of them, and wakes them when it falls silent.
 */
export class Sleepers {
  readonly #clock: Clock
  readonly #wheel: TimerWheel
  readonly #transport: Transport
  readonly #silenceMs: () => number
  readonly #sessions: Readonly<Record<Role, Map<number, Session>>> = {
    leader: new Map(),
    follower: new Map(),
  }

  /** Sessions count as silent after `silenceMs`. */
  constructor(clock: Clock, wheel: TimerWheel, transport: Transport, silenceMs: () => number) {
    this.#clock = clock
    this.#wheel = wheel
    this.#transport = transport
    this.#silenceMs = silenceMs
  }

  /** How long a session may be silent. */
  get silenceMs(): number {
    return this.#silenceMs()
  }

  /** Puts a group to sleep that rests on these nodes; false where one of the sessions is not alive. */
  sleep(sleeper: Sleeper, nodes: readonly number[], role: Role): boolean {
    const nowMs = this.#clock.monotonicMs()
    for (const node of nodes) if (nowMs - this.#contactMs(node, role) > this.#silenceMs() / 2) return false
    for (const node of nodes) {
      const session = this.#session(node, role)
      session.sleepers.add(sleeper)
      if (session.dueMs !== Number.POSITIVE_INFINITY) continue
      session.dueMs = nowMs + this.#silenceMs() / 2
      this.#wheel.arm(session)
    }
    return true
  }

  /** A group does not sleep any more. */
  awake(sleeper: Sleeper): void {
    for (const sessions of [this.#sessions.leader, this.#sessions.follower]) {
      for (const { sleepers } of sessions.values()) sleepers.delete(sleeper)
    }
  }

  #session(node: number, role: Role): Session {
    const sessions = this.#sessions[role]
    let session = sessions.get(node)
    if (session === undefined) {
      session = new Session((each, nowMs) => this.#look(each, node, role, nowMs))
      sessions.set(node, session)
    }
    return session
  }

  #look(session: Session, node: number, role: Role, nowMs: number): void {
    if (session.sleepers.size === 0) {
      session.dueMs = Number.POSITIVE_INFINITY
      return
    }
    if (nowMs - this.#contactMs(node, role) > this.#silenceMs())
      for (const each of [...session.sleepers]) each.wake()
    session.dueMs = session.sleepers.size === 0 ? Number.POSITIVE_INFINITY : nowMs + this.#silenceMs() / 2
  }

  #contactMs(node: number, role: Role): number {
    return this.#transport.sessionContactMs?.(node, role) ?? Number.NEGATIVE_INFINITY
  }
}
