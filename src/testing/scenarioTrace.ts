import { messageOf } from '../model/errors.ts'
import type { Effect } from '../raft/effects.ts'
import type { GroupObserver } from '../replica/observer.ts'
import type { ClusterNode } from './clusterProgram.ts'
import type { World } from './world.ts'

interface Item {
  readonly kind: 'state' | 'highWatermark' | 'other'
  readonly text: string
}

/**
 * What comes of a scenario, as text: the commands, and under each of them a line for every node, with what it did in its
 * order. Of several high watermarks only the last one is told, and of what goes round in circles one round: traces change
 * when behaviour does, and not with every millisecond.
 */
export class ScenarioTrace {
  readonly #lines: string[] = []
  readonly #items = new Map<number, Item[]>()
  readonly #quarantine = new Map<number, string>()

  constructor(world: World<ClusterNode>) {
    world.watch({
      stopped: ({ id }, how, error) => {
        if (how === 'failed') this.line(id, `ends: ${messageOf(error)}`)
      },
    })
  }

  /** The whole trace. */
  get text(): string {
    this.#flush()
    return this.#lines.length === 0 ? '' : `${this.#lines.join('\n')}\n`
  }

  /** The next command. */
  command(line: string): void {
    this.#flush()
    this.#lines.push(`> ${line}`)
  }

  /** Something that a node did. */
  line(node: number, text: string): void {
    this.#add(node, { kind: 'other', text })
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
        this.#add(node, { kind: 'state', text: `${effect.state}${led} epoch=${effect.leaderEpoch}` })
        break
      }
      case 'highWatermark':
        this.#add(node, { kind: 'highWatermark', text: `highWatermark ${effect.offset}` })
        break
      case 'truncate':
        this.line(node, `truncates to ${effect.to.endOffset} of epoch ${effect.to.epoch}`)
        break
      case 'installSnapshot':
        this.line(node, `installs the snapshot that ends at ${effect.snapshotId.endOffset}`)
        break
      case 'votersChanged':
        this.line(node, `voters ${effect.entry.voters.voters.map(({ id }) => id).join(' ')}`)
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

  #add(node: number, item: Item): void {
    const items = this.#items.get(node) ?? []
    this.#items.set(node, items)
    if (item.kind === 'highWatermark') {
      const earlier = items.findIndex(({ kind }) => kind === 'highWatermark')
      if (earlier >= 0) items.splice(earlier, 1)
    }
    items.push(item)
    const [a, b, c, d] = items.slice(-4)
    if (d !== undefined && a!.text === c!.text && b!.text === d.text) items.splice(-2)
  }

  #flush(): void {
    for (const node of [...this.#items.keys()].sort((a, b) => a - b)) {
      let line = ''
      let before: Item | null = null
      for (const item of this.#items.get(node)!) {
        const joint = before === null ? '' : before.kind === 'state' && item.kind === 'state' ? ' → ' : ', '
        line += joint + item.text
        before = item
      }
      this.#lines.push(`  ${node} ${line}`)
    }
    this.#items.clear()
  }
}
