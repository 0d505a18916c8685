import { EngineError } from '../model/errors.ts'
import type { Group } from '../replica/group.ts'
import { readBytes } from '../replica/groupReader.ts'
import { nodeChecksum } from '../runtime/node/nodeChecksum.ts'
import { encodeBatch } from '../segment/records.ts'
import { factsOfBytes } from './checkFacts.ts'
import { type WorldChecks, watchWorld } from './checkWatcher.ts'
import { type ClusterNode, clusterProgram, dataDirectory, format } from './clusterProgram.ts'
import type { KeptShare } from './fault.ts'
import { type ScenarioOptions, scenarioOptions, wordOption } from './scenarioOptions.ts'
import { ScenarioTrace } from './scenarioTrace.ts'
import { nameOf } from './simClient.ts'
import { takeSnapshot } from './takeSnapshot.ts'
import { World } from './world.ts'

/** How long `settle` lets pass: longer than two elections. */
const settleMs = 1500
const dashes = '----\n'

type Command = (scenario: Scenario, words: readonly string[]) => Promise<void> | void

/** What a line of a scenario may begin with, and how the rest of it reads. */
export const scenarioCommands: Readonly<Record<string, Command>> = {
  /** `elect 2`: lets time pass until there is a leader, and has it hand over to node 2 if that is another one. */
  elect: (scenario, [id]) => scenario.elect(Number(id)),
  /** `append 1 count=3 acks=leader`: appends at node 1, a batch for each; the answers are in the trace. */
  append(scenario, [id, ...words]) {
    for (let left = Number(wordOption(words, 'count', '1')); left > 0; left--) {
      scenario.append(Number(id), wordOption(words, 'acks', 'all') === 'leader' ? 'leader' : 'all')
    }
    return scenario.world.advance(20)
  },
  /** `read 1 from=0`: what a consumer of node 1 gets. */
  read: (scenario, [id, ...words]) => scenario.read(Number(id), Number(wordOption(words, 'from', '0'))),
  /** `readEnd 1`: the end of the log, linearizable. */
  readEnd: (scenario, [id]) => scenario.readEnd(Number(id)),
  settle: (scenario) => scenario.world.advance(settleMs),
  /** `advance 250ms` */
  advance: (scenario, [ms]) => scenario.world.advance(Number.parseInt(ms!, 10)),
  /** `partition 1 | 2,3`: nobody of one side hears the other. */
  partition: (scenario, words) => scenario.partition(words),
  heal: ({ world }) => world.network.heal(),
  /** `kill 1 2`: the processes die, what they handed to the system stays. */
  kill({ world }, ids) {
    for (const id of ids) world.node(Number(id)).kill()
  },
  /** `crash 1 2 kept=0.5`: the power goes; of each block that is not synced that share is kept. */
  crash({ world }, words) {
    const kept = Number(wordOption(words, 'kept', '0')) as KeptShare
    for (const id of words.filter((word) => !word.includes('=')))
      world.node(Number(id)).crash(kept, 'journalled')
  },
  start({ world }, ids) {
    for (const id of ids) world.node(Number(id)).start()
    return world.advance(50)
  },
  /** `close 1`: leaves in order. */
  close: ({ world }, [id]) => world.settle(world.node(Number(id)).close()),
  /** `pause 1 2000ms`: the process stands still. */
  pause({ world }, [id, ms]) {
    world.node(Number(id)).pausedUntilMs = world.nowMs + Number.parseInt(ms!, 10)
  },
  /** `transfer 1 to 2` */
  transfer: (scenario, [id, , to]) =>
    scenario.ask(Number(id), 'transfer', (group) => group.transferLeadership(Number(to))),
  /** `add 4 via 1` */
  add: (scenario, [id, , via]) =>
    scenario.ask(Number(via), `add ${id}`, (group) => group.addVoter(scenario.voter(Number(id)))),
  /** `remove 3 via 1` */
  remove: (scenario, [id, , via]) =>
    scenario.ask(Number(via), `remove ${id}`, (group) =>
      group.removeVoter(group.voters.voters.get(Number(id)) ?? scenario.voter(Number(id))),
    ),
  /** `unclean 2`: an operator accepts losses. */
  unclean: (scenario, [id]) => scenario.unclean(Number(id)),
  /** `snapshot 1`: node 1 takes a snapshot of what is committed, and drops the records. */
  snapshot: (scenario, [id]) => scenario.snapshot(Number(id)),
  /** `copy 2`, and later `rollBack 2`: the disk as it was. */
  copy({ world }, [id]) {
    world.node(Number(id)).copy = world.node(Number(id)).fs.image
  },
  rollBack(scenario, [id]) {
    const node = scenario.world.node(Number(id))
    node.replaceDisk(node.copy)
    node.start()
    return scenario.world.advance(50)
  },
  /** `replace 2`: an empty disk, and so another replica. */
  replace: (scenario, [id]) => scenario.replace(Number(id)),
}

/** A scenario could not be carried out, or broke a promise. */
export class ScenarioError extends Error {
  override readonly name = 'ScenarioError'
  /** What had come of it until then. */
  readonly trace: string

  constructor(message: string, trace: string, cause: unknown) {
    super(`${message}\n${trace}`, { cause })
    this.trace = trace
  }
}

/**
 * Carries out the commands of a scenario, a line each, on a cluster of simulated nodes that run as they are shipped; `#` begins
 * a comment. The first line may be `cluster nodes=3 kind=partition …`. Gives what came of it, a line for each thing that a
 * reader wants to know, under the command that it followed. Throws a `ScenarioError`, whose cause is the `Violation`
 * when a promise is broken.
 */
export async function playScenario(script: string): Promise<string> {
  const lines = script
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .filter((line) => line !== '')
  const isNamed = lines[0]?.startsWith('cluster') === true
  const scenario = new Scenario(scenarioOptions(isNamed ? lines[0]!.split(/\s+/).slice(1) : []))
  try {
    scenario.world.startAll()
    for (const line of isNamed ? lines.slice(1) : lines) {
      const [name, ...words] = line.split(/\s+/)
      const command = scenarioCommands[name!]
      if (command === undefined) throw new Error(`a scenario knows no "${name}"`)
      scenario.trace.command(line)
      await command(scenario, words)
    }
    scenario.end()
    return scenario.trace.text
  } catch (cause) {
    const { message } = cause as Error
    throw new ScenarioError(message, scenario.trace.text, cause)
  } finally {
    scenario.world[Symbol.dispose]()
  }
}

/** The text of a scenario file with its trace below the dashes made anew, by `play` where scenarios are of another kind. */
export async function replayScenario(
  text: string,
  play: (script: string) => Promise<string> = playScenario,
): Promise<string> {
  const [script = ''] = text.split(dashes)
  return `${script}${dashes}${await play(script)}`
}

/** A cluster of one group, and what commands do to it. */
class Scenario {
  readonly world: World<ClusterNode>
  readonly trace: ScenarioTrace
  readonly #watched: WorldChecks
  readonly #directoryIds: string[]
  #values = 0

  constructor({ shape, seed }: ScenarioOptions) {
    // Known ones, so that traces read alike whatever the world draws.
    this.#directoryIds = Array.from({ length: shape.nodes }, (_, index) => directoryId(index + 1, 0))
    this.world = new World<ClusterNode>({
      seed,
      nodes: shape.nodes,
      program: (place) => program(place),
      syncMs: [1, 1],
      callMs: [0.01, 0.01],
      linkMs: [1, 1],
    })
    this.trace = new ScenarioTrace(this.world)
    this.#watched = watchWorld(this.world, { dataDirectory })
    const program = clusterProgram(shape, [...this.#directoryIds], (node) =>
      this.trace.observe(node, this.#watched.observer(node)),
    )
    for (const node of this.world.nodes.values()) format(node, this.#directoryIds[node.id - 1]!)
  }

  group(id: number): Group | null {
    return this.world.node(id).running?.groups[0] ?? null
  }

  leader(): number | null {
    let found: Group | null = null
    let leader: number | null = null
    for (const { id } of this.world.nodes.values()) {
      const group = this.group(id)
      if (group?.state !== 'leader' || (found !== null && found.leaderEpoch > group.leaderEpoch)) continue
      found = group
      leader = id
    }
    return leader
  }

  async elect(id: number): Promise<void> {
    const { world } = this
    await world.runUntil(() => this.leader() !== null, 10_000)
    await world.advance(300)
    const leader = this.leader()
    if (leader !== null && leader !== id) this.#keep(this.group(leader)!.transferLeadership(id))
    const isDone = await world.runUntil(() => this.leader() === id, 5000)
    if (!isDone) throw new Error(`node ${id} does not lead: it is ${this.group(id)?.state}`)
    await world.advance(300)
  }

  append(id: number, acks: 'all' | 'leader'): void {
    const value = `value ${++this.#values}`
    const bytes = encodeBatch(
      { records: [{ key: null, value: Buffer.from(value), timestampMs: 1_700_000_000_000 }] },
      nodeChecksum,
    )
    const history = this.#watched.checks.history(nameOf(0))
    const call = history.append(factsOfBytes(bytes, null, null).map(({ hash }) => hash))
    const group = this.group(id)
    if (group === null) {
      this.trace.line(id, `does not run`)
      return
    }
    this.#keep(
      group.append(bytes, { acks }).then(
        ({ baseOffset, lastOffset }) => {
          this.trace.line(id, `acks ${value} at ${baseOffset}`)
          if (acks === 'all') history.acked(call, baseOffset, lastOffset)
        },
        (error: unknown) => this.#refused(id, value, error),
      ),
    )
  }

  async read(id: number, from: number): Promise<void> {
    const group = this.group(id)
    if (group === null) return this.trace.line(id, 'does not run')
    const work = readBytes(group, from, 1 << 20).then(
      (bytes) => {
        const facts = bytes === null ? [] : factsOfBytes(bytes, null, null)
        this.#watched.checks.history(nameOf(0)).read(from, facts)
        const last = facts.at(-1)
        this.trace.line(
          id,
          last === undefined ? `has nothing at ${from}` : `reads ${from} to ${last.lastOffset}`,
        )
      },
      (error: unknown) => this.#refused(id, `read of ${from}`, error),
    )
    await this.world.settle(work, 5000)
  }

  async readEnd(id: number): Promise<void> {
    const history = this.#watched.checks.history(nameOf(0))
    const call = history.readEnd(id)
    await this.ask(id, 'readEnd', async (group) => {
      const end = await group.readIndex()
      history.endRead(call, end)
      this.trace.line(id, `is committed to ${end}`)
    })
  }

  /** Asks a node's replica for something, and lets time pass until it has answered, or for a second. */
  async ask(id: number, what: string, work: (group: Group) => Promise<unknown>): Promise<void> {
    const group = this.group(id)
    if (group === null) return this.trace.line(id, 'does not run')
    let isSettled = false
    const done = (error: unknown): void => {
      isSettled = true
      if (error !== null) this.#refused(id, what, error)
      else if (what !== 'readEnd') this.trace.line(id, `done: ${what}`)
    }
    work(group).then(() => done(null), done)
    await this.world.runUntil(() => isSettled, 1000)
    if (!isSettled) this.trace.line(id, `has not answered: ${what}`)
    await this.world.advance(50)
  }

  /** Asks until the replica takes it: it does not while it believes in a leader. */
  async unclean(id: number): Promise<void> {
    await this.world.runUntil(() => this.group(id)?.state === 'prospective', 5000)
    await this.ask(id, 'unclean', (group) => group.uncleanElection())
  }

  partition(words: readonly string[]): void {
    const sides = words
      .join('')
      .split('|')
      .map((side) => side.split(',').map(Number))
    const links = sides.flatMap((side, index) =>
      sides.flatMap((other, at) =>
        at === index ? [] : side.flatMap((from) => other.map((to) => ({ from, to }))),
      ),
    )
    this.world.inject({
      kind: 'partition',
      shape: 'symmetric',
      links,
      forMs: Number.POSITIVE_INFINITY,
      repeats: 0,
      resets: false,
      number: 0,
      atMs: this.world.nowMs,
    })
  }

  async snapshot(id: number): Promise<void> {
    await this.ask(id, 'snapshot', takeSnapshot)
  }

  async replace(id: number): Promise<void> {
    const node = this.world.node(id)
    node.replaceDisk(null)
    const next = directoryId(id, node.session)
    this.#directoryIds[id - 1] = next
    format(node, next)
    node.start()
    await this.world.advance(50)
  }

  voter(id: number) {
    const endpoints = [{ name: 'CONTROLLER', ...this.world.endpointOf(id) }]
    return { id, directoryId: this.#directoryIds[id - 1]!, endpoints, minVersion: 0, maxVersion: 1 }
  }

  /** Whatever was promised has to hold at the end too. */
  end(): void {
    const { checks } = this.#watched
    checks.checkHistories()
    if (checks.violation !== null) throw checks.violation
  }

  #refused(id: number, what: string, error: unknown): void {
    if (!(error instanceof EngineError)) throw error
    this.trace.line(id, `refuses ${what}: ${error.code}`)
  }

  #keep(work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      if (!(error instanceof EngineError)) throw error
    })
  }
}

function directoryId(node: number, disk: number): string {
  return `node${node}disk${disk}`.padEnd(21, '-').concat('A')
}
