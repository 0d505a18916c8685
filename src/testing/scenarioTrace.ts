import type { Effect } from '../raft/effects.ts'
import type { GroupObserver } from '../replica/observer.ts'
import type { ClusterNode } from './clusterProgram.ts'
import type { World } from './world.ts'

/** What comes of a scenario, as text: the commands, and under each of them what the replicas did. */
export class ScenarioTrace {
  readonly #lines: string[] = []
  /** The node whose states are being listed in one line; -1 for none. */
  #listing = -1
  readonly #quarantine = new Map<number, string>()

  constructor(world: World<ClusterNode>) {
    world.watch({
      stopped: ({ id }, how, error) => {
        if (how === 'failed') this.line(id, `ends: ${error instanceof Error ? error.message : String(error)}`)
      },
    })
  }

  /** The whole trace. */
  get text(): string {
    return this.#lines.length === 0 ? '' : `${this.#lines.join('\n')}\n`
  }

  /** The next command. */
  command(line: string): void {
    this.#lines.push(`> ${line}`)
    this.#listing = -1
  }

  /** Something that a node did. */
  line(node: number, text: string): void {
    this.#lines.push(`  ${node} ${text}`)
    this.#listing = -1
  }

  /** An observer that tells `other` and has this trace hear too. */
  observe(node: number, other: GroupObserver): GroupObserver {
    return {
      started: (group, config, start) => {
        this.#quarantine.set(node, start.quorum.quarantine)
        other.started(group, config, start)
      },
      stepped: (group, event, effects) => {
        for (const effect of effects) this.#effect(node, effect)
        other.stepped(group, event, effects)
      },
      left: (group, to, message, asked) => other.left(group, to, message, asked),
    }
  }

  #effect(node: number, effect: Effect): void {
    switch (effect.type) {
      case 'stateChanged': {
        const led = effect.leaderId >= 0 && effect.state !== 'leader' ? ` of ${effect.leaderId}` : ''
        this.#state(node, `${effect.state}${led} epoch=${effect.leaderEpoch}`)
        break
      }
      case 'highWatermark':
        this.line(node, `highWatermark ${effect.offset}`)
        break
      case 'truncate':
        this.line(node, `truncates to ${effect.to.endOffset} of epoch ${effect.to.epoch}`)
        break
      case 'installSnapshot':
        this.line(node, `installs the snapshot that ends at ${effect.snapshotId.endOffset}`)
        break
      case 'votersChanged':
        this.line(node, `voters ${effect.entry.voters.voters.map(({ id }) => id).join(',')}`)
        break
      case 'alarm':
        this.line(node, `alarm ${effect.code}: ${effect.detail}`)
        break
      case 'persist':
        if (effect.state.quarantine !== this.#quarantine.get(node)) {
          this.#quarantine.set(node, effect.state.quarantine)
          this.line(node, `quarantine ${effect.state.quarantine}`)
        }
        break
    }
  }

  #state(node: number, text: string): void {
    if (this.#listing === node) this.#lines[this.#lines.length - 1] += ` → ${text}`
    else this.line(node, text)
    this.#listing = node
  }
}
