import { setTimeout as delay } from 'node:timers/promises'
import { countOf, damageSegments, logsOf, type Spot } from './damage.ts'
import type { Network } from './network.ts'
import type { ChaosNode } from './node.ts'

/** What a fault can do something to. */
export interface Target {
  readonly network: Network
  readonly nodes: readonly ChaosNode[]
  /** Members of the network that are clients. */
  readonly clients: readonly string[]
  /** The topic that is written to. */
  readonly topic: string
  /** Places that one fault damages. */
  readonly spots: number
  /** Resolves once every replica is in sync. Where that takes too long it is noted as wrong, with `when`: since what. */
  inSync(when: string): Promise<void>
  /** Compares what each node gives readers with what was acknowledged; resolves with how many records each has, as text. */
  readEverywhere(): Promise<string>
  /** A number from 0 to below 1; all that is random about a fault. */
  random(): number
  /** The node that leads most partitions, as far as clients know. */
  leader(): Promise<ChaosNode>
}

/** A fault: begins, stays for a while, and is taken back. */
export interface Fault {
  /** What it does to whom, for the report. */
  readonly detail: string
  /** Takes it back; nodes that it ended are started again. */
  end(): Promise<void>
  /** The node whose disk has to be made good again. */
  readonly repair?: ToRepair
}

/** A disk that has to be made good again. */
export interface ToRepair {
  readonly node: ChaosNode
  /** The partitions that were there. */
  readonly logs: readonly string[]
  /** What was damaged of them; none where a whole disk went away. */
  readonly spots: readonly Spot[]
}

type Begin = (target: Target) => Promise<Fault>

/**
 * All damage of disks happens to the first node: as long as the others are well nothing may be lost, however often it happens.
 */
const victimOf = ({ nodes }: Target): ChaosNode => nodes[0]!

/** All classes of faults, by name. Source of the list: the project's fault model, "real processes". */
export const faults: Readonly<Record<string, Begin>> = {
  kill: async (target) => ended(target, [pick(target)], 'SIGKILL'),
  killLeader: async (target) => ended(target, [await target.leader()], 'SIGKILL'),
  killAll: async (target) => ended(target, target.nodes, 'SIGKILL'),
  terminate: async (target) => ended(target, [await target.leader()], 'SIGTERM'),
  powerCut: async (target) => powerCut([pick(target)]),
  powerCutLeader: async (target) => powerCut([await target.leader()]),
  powerCutAll: async ({ nodes }) => powerCut(nodes),
  pause: async (target) => {
    const node = target.random() < 0.5 ? await target.leader() : pick(target)
    node.pause(true)
    return { detail: node.name, end: async () => node.pause(false) }
  },
  partition: async (target) => {
    const { network, nodes, clients } = target
    const node = target.random() < 0.5 ? await target.leader() : pick(target)
    const others = [...nodes.filter((other) => other !== node).map(({ name }) => name), ...clients]
    network.cut(node.name, { deafTo: others, muteTo: others })
    return healing(network, `${node.name} alone`)
  },
  oneWay: async (target) => {
    const { network, nodes } = target
    const node = target.random() < 0.5 ? await target.leader() : pick(target)
    const others = nodes.filter((other) => other !== node).map(({ name }) => name)
    const isDeaf = target.random() < 0.5
    network.cut(node.name, { deafTo: isDeaf ? others : [], muteTo: isDeaf ? [] : others })
    return healing(network, `${node.name} ${isDeaf ? 'hears nobody' : 'reaches nobody'}`)
  },
  ring: async ({ network, nodes }) => {
    // Everybody hears the one before and the one after, as far as there are others.
    nodes.forEach((node, index) => {
      const next = nodes[(index + 1) % nodes.length]!
      const previous = nodes[(index + nodes.length - 1) % nodes.length]!
      const far = nodes.filter((other) => other !== node && other !== next && other !== previous)
      // With three nodes a ring has no far ones: then each is deaf to the next.
      const deafTo = (far.length > 0 ? far : [next]).map(({ name }) => name)
      network.cut(node.name, { deafTo, muteTo: [] })
    })
    return healing(network, 'everybody hears neighbours only')
  },
  clientWithOldLeader: async (target) => {
    const { network, nodes, clients } = target
    const leader = await target.leader()
    const others = nodes.filter((other) => other !== leader).map(({ name }) => name)
    const client = clients[Math.floor(target.random() * clients.length)]!
    network.cut(leader.name, { deafTo: others, muteTo: others })
    network.cut(client, { deafTo: others, muteTo: others })
    return healing(network, `${leader.name} and ${client} see only each other`)
  },
  cable: async (target) => {
    const node = pick(target)
    target.network.cable(node.name, false)
    return healing(target.network, node.name)
  },
  loss: async (target) => {
    const share = Number((0.05 + 0.25 * target.random()).toFixed(2))
    const node = pick(target)
    target.network.lose(node.name, share)
    return healing(target.network, `${node.name} ${share * 100} %`)
  },
  slowLink: async (target) => {
    const node = pick(target)
    target.network.slow(node.name, 1024)
    return healing(target.network, `${node.name} 1 Mbit/s`)
  },
  slowDisk: async (target) => {
    const node = pick(target)
    node.throttle(256 * 1024)
    return { detail: `${node.name} 256 KiB/s`, end: async () => node.throttle(null) }
  },
  diskFull: async (target) => {
    const node = pick(target)
    node.fillDisk()
    return { detail: node.name, end: async () => node.freeDisk() }
  },
  damage: async (target) => {
    const victim = victimOf(target)
    await target.inSync('the fault before')
    await victim.end('SIGKILL')
    const logs = logsOf(victim.data, target.topic)
    const spots = damageSegments(victim.data, target.topic, target.spots, target.random)
    const [flips, cuts, swaps] = [countOf(spots, 'flip'), countOf(spots, 'cut'), countOf(spots, 'swap')]
    const detail = `${victim.name}: ${flips} flipped bits, ${cuts} cut files, ${swaps} exchanges of files`
    return { detail, end: async () => startAgain([victim]), repair: { node: victim, logs, spots } }
  },
  diskLost: async (target) => {
    const victim = victimOf(target)
    // What only it has is gone: the others must have recovered from what came before.
    await target.inSync('the fault before')
    await victim.end('SIGKILL')
    const logs = logsOf(victim.data, target.topic)
    victim.emptyDisk()
    return {
      detail: victim.name,
      end: async () => startAgain([victim]),
      repair: { node: victim, logs, spots: [] },
    }
  },
  diskBack: async (target) => {
    const victim = victimOf(target)
    await victim.end('SIGKILL')
    victim.copyDisk()
    victim.start()
    await target.inSync(`${victim.name} was started`)
    await delay(1000)
    await victim.end('SIGKILL')
    const logs = logsOf(victim.data, target.topic)
    victim.restoreDisk()
    return {
      detail: `${victim.name}, as it was before`,
      end: async () => startAgain([victim]),
      repair: { node: victim, logs, spots: [] },
    }
  },
  clockJump: async (target) => {
    // Only the last node has a clock that can be moved.
    const node = target.nodes.at(-1)!
    const seconds = Math.round((target.random() - 0.5) * 2 * 10 * 365 * 86_400)
    node.moveClock(seconds)
    return { detail: `${node.name} by ${seconds} s`, end: async () => node.moveClock(0) }
  },
}

function pick({ nodes, random }: Target): ChaosNode {
  return nodes[Math.floor(random() * nodes.length)]!
}

async function ended(_: Target, nodes: readonly ChaosNode[], signal: 'SIGKILL' | 'SIGTERM'): Promise<Fault> {
  await Promise.all(nodes.map((node) => node.end(signal)))
  return { detail: names(nodes), end: async () => startAgain(nodes) }
}

async function powerCut(nodes: readonly ChaosNode[]): Promise<Fault> {
  await Promise.all(nodes.map((node) => node.cutPower()))
  return { detail: names(nodes), end: async () => startAgain(nodes) }
}

async function startAgain(nodes: readonly ChaosNode[]): Promise<void> {
  for (const node of nodes) {
    node.start()
    // Machines do not come up at the same moment.
    await delay(50)
  }
}

function healing(network: Network, detail: string): Fault {
  return { detail, end: async () => network.heal() }
}

function names(nodes: readonly ChaosNode[]): string {
  return nodes.map(({ name }) => name).join(' ')
}
