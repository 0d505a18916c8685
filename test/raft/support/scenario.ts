import type { Effect } from '../../../src/raft/effects.ts'
import type { RaftEvent } from '../../../src/raft/events.ts'
import type { SimNode } from './simNode.ts'
import { calm, World, type WorldOptions } from './world.ts'

type Command = (world: World, words: readonly string[]) => void

const settleMs = 1500

function nodeOf(world: World, word: string | undefined): SimNode {
  const node = world.nodes.get(Number(word))
  if (node === undefined) throw new Error(`there is no node ${word}`)
  return node
}

function optionOf(words: readonly string[], name: string, otherwise: string): string {
  return words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1) ?? otherwise
}

/** What a scenario may say, one word a command. */
const commands: Readonly<Record<string, Command>> = {
  /** Lets one replica stand at once. */
  elect(world, [id]) {
    const { core } = nodeOf(world, id)
    if (core?.state === 'unattached') nodeOf(world, id).step({ type: 'uncleanElection', token: null })
    else nodeOf(world, id).step({ type: 'connectionLost', id: core?.leaderId ?? -1 })
    world.advance(100)
  },
  append(world, [id, ...words]) {
    for (let i = Number(optionOf(words, 'count', '1')); i > 0; i--) {
      nodeOf(world, id).step({ type: 'append', token: null, recordCount: 1, records: i })
    }
  },
  settle: (world) => world.advance(settleMs),
  advance: (world, [ms]) => world.advance(Number.parseInt(ms!, 10)),
  /** `partition 1 | 2,3`: nobody of one side hears the other. */
  partition(world, words) {
    const [left, right] = words
      .join('')
      .split('|')
      .map((side) => side.split(','))
    for (const a of left!) for (const b of right!) world.cut.add(`${a}>${b}`).add(`${b}>${a}`)
  },
  heal: (world) => world.cut.clear(),
  crash: (world, ids) => {
    for (const id of ids) nodeOf(world, id).crash()
  },
  kill: (world, ids) => {
    for (const id of ids) nodeOf(world, id).kill()
  },
  start: (world, ids) => {
    for (const id of ids) nodeOf(world, id).start()
  },
  shutdown: (world, [id]) => nodeOf(world, id).step({ type: 'shutdown' }),
  read: (world, [id]) => {
    world.read(nodeOf(world, id))
    world.advance(50)
  },
  transfer: (world, [id, , to]) => {
    nodeOf(world, id).step({ type: 'transferLeadership', token: 'transfer', to: Number(to ?? -1) })
    world.advance(50)
  },
  add(world, [id, , via]) {
    const voter = { ...nodeOf(world, id).key, endpoints: [], minVersion: 0, maxVersion: 1 }
    const request = { clusterId: 'cluster', voter, timeoutMs: 1000, ackWhenCommitted: true }
    nodeOf(world, via).step({ type: 'addVoterRequest', replyTo: null, request } as RaftEvent)
  },
  remove(world, [id, , via]) {
    const request = { clusterId: 'cluster', voter: nodeOf(world, id).key }
    nodeOf(world, via).step({ type: 'removeVoterRequest', replyTo: null, request } as RaftEvent)
  },
  /** Keeps a copy of a disk, and puts it back later. */
  copy(world, [id]) {
    nodeOf(world, id).kill()
    nodeOf(world, id).earlier = nodeOf(world, id).disk.copy()
    nodeOf(world, id).start()
  },
  rollBack(world, [id]) {
    const node = nodeOf(world, id)
    if (node.core !== null) node.kill()
    node.disk = node.earlier!.copy()
    node.savedHighWatermark = 0
    world.isRollbackAllowed = true
    world.checker.wentBack(node)
    node.start()
  },
  /** An operator accepts losses. */
  unclean(world, [id]) {
    world.isLossAccepted = true
    nodeOf(world, id).step({ type: 'uncleanElection', token: 'unclean' })
    world.advance(100)
  },
  upgrade: (world, [id]) => nodeOf(world, id).step({ type: 'upgradeVersion', token: 'upgrade' }),
  snapshot: (world, [id]) => nodeOf(world, id).takeSnapshot(nodeOf(world, id).core!.highWatermark),
  /** The node comes back with an empty disk and a new directory id. */
  replace(world, [id]) {
    const node = nodeOf(world, id)
    if (node.core !== null) node.crash()
    node.directoryId = world.newDirectoryId()
    node.disk = world.newDisk()
    node.savedHighWatermark = 0
    node.start()
  },
}

function optionsOf(words: readonly string[]): WorldOptions {
  const flag = (name: string, otherwise: boolean): boolean =>
    optionOf(words, name, String(otherwise)) === 'true'
  return {
    ...calm,
    kind: optionOf(words, 'kind', calm.kind) as WorldOptions['kind'],
    relaxed: flag('relaxed', calm.relaxed),
    kraftVersion: Number(optionOf(words, 'kraftVersion', '1')) as 0 | 1,
    voters: Number(optionOf(words, 'voters', '3')),
    observers: Number(optionOf(words, 'observers', '0')),
    autoJoin: flag('autoJoin', calm.autoJoin),
    confirmation: optionOf(words, 'confirmation', 'none') as WorldOptions['confirmation'],
  }
}

/** Carries out the commands and gives what came of them, a line for each thing that a reader wants to know. */
export function play(script: string): string {
  const lines = script
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .filter((line) => line !== '')
  const [first, ...rest] = lines[0]!.startsWith('group') ? lines : ['group', ...lines]
  const world = new World(optionsOf(first!.split(' ')))
  const trace = new Trace(world)
  world.startAll()
  for (const line of rest) {
    const [name, ...words] = line.split(/\s+/)
    const command = commands[name!]
    if (command === undefined) throw new Error(`a scenario knows no "${name}"`)
    command(world, words)
  }
  return trace.text
}

class Trace {
  readonly #lines: string[] = []
  #last: SimNode | null = null

  constructor(world: World) {
    world.tracer = (node, effect) => this.#see(node, effect)
  }

  get text(): string {
    return `${this.#lines.join('\n')}\n`
  }

  #see(node: SimNode, effect: Effect): void {
    switch (effect.type) {
      case 'stateChanged': {
        const led = effect.leaderId >= 0 && effect.state !== 'leader' ? ` of ${effect.leaderId}` : ''
        const text = `${effect.state}${led} epoch=${effect.leaderEpoch}`
        if (this.#last === node) this.#lines[this.#lines.length - 1] += ` → ${text}`
        else this.#lines.push(`${node.id} ${text}`)
        this.#last = node
        break
      }
      case 'highWatermark':
        this.#line(node, `highWatermark ${effect.offset}`)
        break
      case 'truncate':
        this.#line(node, `truncates to ${effect.to.endOffset} of epoch ${effect.to.epoch}`)
        break
      case 'installSnapshot':
        this.#line(node, `installs the snapshot that ends at ${effect.snapshotId.endOffset}`)
        break
      case 'votersChanged':
        this.#line(node, `voters ${effect.entry.voters.voters.map(({ id }) => id)}`)
        break
      case 'alarm':
        this.#line(node, `alarm ${effect.code}: ${effect.detail}`)
        break
      case 'persist':
        if (effect.state.quarantine !== node.disk.cache.quorum.quarantine) {
          this.#line(node, `quarantine ${effect.state.quarantine}`)
        }
        break
      case 'refused':
        this.#line(node, `refuses: ${effect.error}`)
        break
      case 'readReady':
        this.#line(node, `reads up to ${effect.offset}`)
        break
      case 'done':
        this.#line(node, `done: ${effect.token}`)
        break
      case 'respond':
        if (effect.replyTo === null)
          this.#line(node, `answers ${effect.response.type}: ${effect.response.error}`)
        break
    }
  }

  #line(node: SimNode | null, text: string): void {
    this.#lines.push(node === null ? text : `${node.id} ${text}`)
    this.#last = null
  }
}
