import { isDurable } from '../model/flushPolicy.ts'
import { defaultTimeouts, type RaftConfig } from '../raft.ts'
import type { GroupSpec, HostTimeouts } from './groupTypes.ts'

/** For so many groups that a node has everything may take a millisecond longer before it counts as lost. */
const groupsPerMs = 8
/** A few groups do not make a node late: when it is, others had better take over soon. */
const fewGroups = 10
const mostPerGroupMs = 10
const mostMs = 10_000
/** A Fetch waits at its leader until there is something to bring: sessions show that both live, and find out when not. */
const fetchMaxWaitMs = 3_600_000
/** Followers hear a little later that more is committed, with the next records as a rule. */
const highWatermarkLagMs = 5

/** What the core is told of a group: `relaxed` is false, since its log says itself when what it promises is done. */
export interface GroupConfig extends RaftConfig {
  /** Whether the group's flush policy is a relaxed one. */
  readonly isRelaxed: boolean
}

/**
 * The configurations of a node's groups: one object for those that are alike. Timeouts grow with the number of groups, for all of
 * them: when thousands act in the same moment they take longer than one does.
 */
export class GroupConfigs {
  /** How much longer than usual things may take. */
  slackMs = 0
  readonly #fixed: Pick<RaftConfig, 'clusterId' | 'self' | 'endpoints'>
  readonly #timeouts: Omit<typeof defaultTimeouts, keyof HostTimeouts> & Required<HostTimeouts>
  readonly #configs = new Map<string, GroupConfig>()

  constructor(fixed: Pick<RaftConfig, 'clusterId' | 'self' | 'endpoints'>, timeouts: HostTimeouts = {}) {
    this.#fixed = fixed
    this.#timeouts = { mendingMs: 0, ...defaultTimeouts, ...timeouts }
  }

  /** There are so many groups, and the node is behind so much that things may take `lagSlackMs` longer. */
  adapt(groups: number, lagSlackMs: number): void {
    const mostLagMs = Math.min(Math.max(0, groups - fewGroups) * mostPerGroupMs, mostMs)
    this.slackMs = Math.floor(groups / groupsPerMs + Math.min(lagSlackMs, mostLagMs))
  }

  /** How long a leader may be silent. */
  get fetchTimeoutMs(): number {
    return this.#timeouts.fetchTimeoutMs + this.slackMs
  }

  /** The configuration of a group. */
  of(spec: GroupSpec): GroupConfig {
    const variant = {
      kind: spec.kind,
      isRelaxed: isRelaxed(spec),
      kraftVersion: spec.kraftVersion ?? 1,
      autoJoin: spec.autoJoin ?? false,
      bootstrapIds: spec.bootstrapIds ?? [],
      standsFirst: spec.standsFirst ?? false,
      confirmation: spec.confirmation ?? 'peers',
    }
    const key = JSON.stringify(variant)
    let config = this.#configs.get(key)
    if (config === undefined) {
      config = this.#make(variant)
      this.#configs.set(key, config)
    }
    return config
  }

  #make(
    variant: Pick<
      GroupConfig,
      'kind' | 'isRelaxed' | 'kraftVersion' | 'autoJoin' | 'bootstrapIds' | 'standsFirst' | 'confirmation'
    >,
  ): GroupConfig {
    const timeouts = this.#timeouts
    const slackMs = (): number => this.slackMs
    return {
      ...this.#fixed,
      ...variant,
      relaxed: false,
      fetchMaxWaitMs,
      highWatermarkLagMs,
      retryBackoffMs: timeouts.retryBackoffMs,
      get electionTimeoutMs() {
        return timeouts.electionTimeoutMs + slackMs()
      },
      get fetchTimeoutMs() {
        return timeouts.fetchTimeoutMs + slackMs()
      },
      get requestTimeoutMs() {
        return timeouts.requestTimeoutMs + slackMs()
      },
    }
  }
}

/** Whether a replica claims what is in the page cache. */
export function isRelaxed({ kind, config }: GroupSpec): boolean {
  return kind === 'partition' && !isDurable(config.flush)
}
