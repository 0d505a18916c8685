import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { SimRandom } from '../../src/testing/simRandom.ts'
import { forgetMaker, noteMaker } from '../faults/support/maker.ts'
import { Clients } from './clients.ts'
import { damageIn, partitionBytes } from './damage.ts'
import { type Fault, faults, type Target, type ToRepair } from './faults.ts'
import { Ledger } from './ledger.ts'
import { networkPrefix, runPrefix, sweepLeftovers } from './leftovers.ts'
import { Network } from './network.ts'
import { ChaosNode } from './node.ts'
import { values } from './options.mjs'
import { type Repaired, RepairWatch, repairsText } from './repair.ts'
import { type Episode, page, type Report } from './report.ts'
import { batchesOf, blameFor, brokenSequences } from './sequences.ts'

const minutes = Number(values.minutes)
const count = Number(values.nodes)
const seed = Number(values.seed)
const topic = 'chaos'
const partitions = 6
/** Each has to have had something acknowledged. */
const writers = ['kafkajs', 'java']
/** What was damaged has to be good again, on every disk, within this time. */
const repairMs = 60_000
/** A cluster that has been healed has to take records again, in every partition, within this time. */
const recoveryMs = 20_000
/** So much longer things may take where other work has the processors: processes that want one, for each, in threes. */
const patience = (): number => Math.max(1, loadavg()[0]! / availableParallelism() / 3)

const draws = new SimRandom(seed)
/** From 0 to below 1. */
const random = (): number => draws.next() / 2 ** 32
const directory = mkdtempSync(join(tmpdir(), runPrefix))
noteMaker(directory)
const startMs = performance.now()
const now = (): number => Math.round(performance.now() - startMs)
const ledger = new Ledger()
const damages: Repaired[] = []
/** Records that are there twice because their producer sent them again. */
let excused = 0
const cleanUps: (() => void)[] = []
let isCleaned = false
process.once('exit', cleanUp)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
process.exitCode = await main().catch((error: unknown) => {
  ledger.problem(`the run has ended: ${error instanceof Error ? error.stack : String(error)}`)
  return 1
})

async function main(): Promise<number> {
  for (const line of await sweepLeftovers()) console.log(`swept ${line}`)
  const network = new Network(networkPrefix(directory))
  cleanUps.push(() => network.remove())
  const ids = Array.from({ length: count }, (_, index) => index + 1)
  for (const id of ids) network.add(`n${id}`, id)
  const members = ['c1', 'c2'] as const
  for (const [index, member] of members.entries()) network.add(member, 101 + index)
  const clock = fakeClockLibrary()
  const nodes = ids.map((id) => {
    const node = new ChaosNode({ id, ids, network, directory, fakeClock: id === count ? clock : null })
    cleanUps.push(() => {
      void node.end('SIGKILL')
      node.remove()
    })
    return node
  })
  for (const node of nodes) node.start()
  const bootstrap = ids.map((id) => `${network.address(`n${id}`)}:9092`).join(',')
  const clients = new Clients({ network, members, bootstrap, topic, partitions, directory, ledger, now })
  cleanUps.push(() => clients.kill())
  await clients.createTopic(3)
  clients.start()
  // Clients start slowly where there is other work, and the cluster has not been touched yet.
  await everyPartition(now(), 6 * recoveryMs)

  const leader = async (): Promise<ChaosNode> => {
    const id = await clients.leader()
    return nodes.find((node) => node.id === id) ?? nodes[0]!
  }
  const inSync = async (when: string): Promise<void> => {
    let behind: string | null = null
    const isSo = async (): Promise<boolean> => {
      behind = await clients.behind()
      return behind === null
    }
    if (!(await within(repairMs, isSo))) ledger.problem(`not in sync ${repairMs} ms after ${when}: ${behind}`)
  }
  const spots = Number(values.spots)
  const target: Target = {
    network,
    nodes,
    clients: members,
    random,
    leader,
    inSync,
    topic,
    spots,
    readEverywhere: () => readEverywhere(clients, nodes),
  }
  const episodes: Episode[] = []
  const endMs = now() + minutes * 60_000
  let told = 0
  for (const name of order()) {
    if (now() > endMs || episodes.length >= Number(values.faults)) break
    episodes.push(await episode(name, target))
    for (const node of nodes) {
      noteEnd(node, name)
      if (!node.isRunning) node.start()
    }
    if (ledger.problems.length > told) sayLastWords(nodes)
    told = ledger.problems.length
  }
  await everyWriter(now())
  await clients.stop()
  if (ledger.seen === 0) ledger.problem('the consumer was given nothing')
  // Before anything is read: a reader would wait for ever for a partition that nobody leads.
  await inSync('the last fault')
  const stored = await clients.read().catch((error: unknown) => {
    ledger.problem(`not everything can be read: ${String(error).slice(0, 300)}`)
    return null
  })
  if (stored !== null) ledger.compare(stored)
  await Promise.all(nodes.map((node) => node.end('SIGTERM')))
  for (const node of nodes) noteEnd(node, 'the shutdown')
  await compareDisks(nodes)
  if (ledger.problems.length > told) sayLastWords(nodes)
  return tell({
    seed,
    nodes: count,
    seconds: Math.ceil(now() / 1000),
    acknowledged: ledger.acknowledged,
    inDoubt: ledger.doubts,
    readByConsumer: ledger.seen,
    stored: stored?.length ?? 0,
    episodes,
    damages,
    problems: ledger.problems,
    perSecond: perSecond(ledger.times),
  })
}

/** Notes how a node has ended, if that is not as it was meant. */
function noteEnd(node: ChaosNode, during: string): void {
  const end = node.takeOddEnd()
  if (end !== null) ledger.problem(`${node.name} ${end} during ${during}`)
}

/** What brokers said last, for those who have nothing but this output. */
function sayLastWords(nodes: readonly ChaosNode[]): void {
  for (const node of nodes) console.log(`--- ${node.name} said last:\n${node.lastWords(60)}`)
}

/** Every class once, then any of them, for ever; with `--only` those alone, with `--without` all but those. */
function* order(): Generator<string> {
  const without = values.without.split(',').filter((name) => name !== '')
  const chosen = values.only?.split(',') ?? Object.keys(faults)
  for (const name of [...chosen, ...without]) {
    if (faults[name] === undefined) throw new Error(`there is no fault ${name}`)
  }
  const names = chosen.filter((name) => !without.includes(name))
  const shuffled = [...names].map((name) => [random(), name] as const).sort((a, b) => a[0] - b[0])
  for (const [, name] of shuffled) yield name
  for (;;) yield names[Math.floor(random() * names.length)]!
}

async function episode(name: string, target: Target): Promise<Episode> {
  const beganMs = now()
  const fault: Fault = await faults[name]!(target)
  const heldMs = 1000 * Number(values.hold)
  await delay(Math.min(500, heldMs) + Math.max(0, heldMs - 500) * random())
  await fault.end()
  const endedMs = now()
  const recoveredAfterMs = await everyPartition(endedMs)
  if (fault.repair !== undefined) await repaired(fault.repair, endedMs, target)
  const times = [beganMs, ...ledger.times.filter((atMs) => atMs > beganMs), now()]
  const longestGapMs = Math.max(...times.slice(1).map((atMs, index) => atMs - times[index]!))
  const line = `${name} (${fault.detail}): ${endedMs - beganMs} ms, again after ${recoveredAfterMs} ms, longest gap ${longestGapMs} ms`
  console.log(`${(beganMs / 1000).toFixed(1).padStart(7)} s  ${line}; ${ledger.acknowledged} acknowledged`)
  return { fault: name, detail: fault.detail, beganMs, endedMs, recoveredAfterMs, longestGapMs }
}

/** Resolves once every partition has acknowledged something after `sinceMs`, with how long that took. */
async function everyPartition(sinceMs: number, withinMs = recoveryMs): Promise<number> {
  const isBack = (): boolean => {
    for (let partition = 0; partition < partitions; partition++) {
      if ((ledger.lastMs.get(partition) ?? -1) <= sinceMs) return false
    }
    return true
  }
  while (!isBack()) {
    if (now() - sinceMs > withinMs * patience()) {
      const missing = Array.from({ length: partitions }, (_, partition) => partition).filter(
        (partition) => (ledger.lastMs.get(partition) ?? -1) <= sinceMs,
      )
      ledger.problem(
        `partitions ${missing.join(', ')} took nothing for ${now() - sinceMs} ms after ${sinceMs} ms`,
      )
      break
    }
    await delay(20)
  }
  return now() - sinceMs
}

/** Each writer has to get on in each partition: the others' writes hide that one is refused for ever. */
async function everyWriter(sinceMs: number): Promise<void> {
  const left = (): readonly string[] =>
    writers.flatMap((writer) =>
      Array.from({ length: partitions }, (_, partition) => `${writer}/${partition}`).filter(
        (place) => (ledger.lastMsOf.get(place) ?? -1) <= sinceMs,
      ),
    )
  if (await within(repairMs, async () => left().length === 0)) return
  ledger.problem(`nothing more was acknowledged to these writers in these partitions: ${left().join(', ')}`)
}

/**
 * Waits until what was damaged is as it was and a node's replicas are in sync, then reads every record from every node. `sinceMs` is when the
 * node was started.
 */
async function repaired({ node, logs, spots }: ToRepair, sinceMs: number, target: Target): Promise<void> {
  const others = target.nodes.filter((other) => other !== node)
  const watch = new RepairWatch(node, others, logs, spots)
  let found: readonly string[] = []
  const isGood = await within(repairMs - (now() - sinceMs), async () => {
    found = await watch.look(now() - sinceMs)
    return found.length === 0
  })
  const tookMs = now() - sinceMs
  damages.push(...watch.outcome)
  if (!isGood)
    ledger.problem(`${node.name} is still damaged after ${tookMs} ms: ${found.slice(0, 3).join('; ')}`)
  if (!isGood) node.keepDisk()
  await target.inSync(`${node.name} was to be repaired`)
  const read = await target.readEverywhere()
  console.log(
    `           ${node.name} is whole again after ${tookMs} ms; read from every node: ${read} records`,
  )
}

/** Compares what every node has for readers with what clients were told until now. Resolves with how many records each has. */
async function readEverywhere(clients: Clients, nodes: readonly ChaosNode[]): Promise<string> {
  const counts: number[] = []
  for (const { name } of nodes) {
    const until = ledger.mark()
    try {
      const stored = await clients.readFrom(name, until.ends)
      ledger.compare(stored, until, ` on ${name}`)
      counts.push(stored.length)
    } catch (error) {
      ledger.problem(`not everything can be read from ${name}: ${String(error).slice(0, 300)}`)
    }
  }
  return counts.join(' ')
}

/** Every checksum of every disk, and the replicas beside each other: byte by byte the same. */
async function compareDisks(nodes: readonly ChaosNode[]): Promise<void> {
  for (const node of nodes) {
    const found = await damageIn(node.data, false)
    for (const line of found) ledger.problem(`${node.name}: ${line}`)
    if (found.length > 0) node.keepDisk()
  }
  for (let partition = 0; partition < partitions; partition++) {
    const name = `${topic}-${partition}`
    const copies = nodes.flatMap((node) => {
      const bytes = partitionBytes(node.data, name)
      return bytes === null ? [] : [{ node, bytes }]
    })
    if (copies.length !== 3) ledger.problem(`${name} has ${copies.length} replicas on disks, not 3`)
    for (const { node, bytes } of copies.slice(1)) {
      if (!bytes.equals(copies[0]!.bytes))
        ledger.problem(`${name} differs between ${copies[0]!.node.name} and ${node.name}`)
    }
    if (copies.length > 0) judge(partition, name, copies[0]!.bytes)
  }
}

/** Looks at what idempotent producers have written to a partition, and whose mistake it is where a record is there twice. */
function judge(partition: number, name: string, bytes: Buffer): void {
  const batches = batchesOf(bytes)
  for (const line of brokenSequences(name, batches)) ledger.problem(line)
  for (const repeated of ledger.repeated.filter((each) => each.partition === partition)) {
    const blame = blameFor(repeated, batches, ledger.givenUp)
    if (blame !== null) ledger.problem(blame)
    else excused += 1
  }
}

async function within(limitMs: number, isSo: () => Promise<boolean>): Promise<boolean> {
  const fromMs = now()
  while (!(await isSo())) {
    if (now() - fromMs > limitMs * patience()) return false
    await delay(250)
  }
  return true
}

function tell(report: Report): number {
  for (const [file, text] of [
    [values.json, `${JSON.stringify(report, null, 2)}\n`],
    [values.html, page(report)],
  ] as const) {
    if (file !== undefined) writeFileSync(file, text)
  }
  const { acknowledged, inDoubt, readByConsumer, stored, episodes, problems } = report
  if (damages.length > 0) console.log(repairsText(damages))
  console.log(
    `${episodes.length} faults, ${acknowledged} records acknowledged (${[...ledger.byWriter].map(([writer, count]) => `${writer} ${count}`).join(', ')}), ${inDoubt} batches in doubt, ${readByConsumer} read meanwhile, ${stored} stored`,
  )
  if (excused > 0) console.log(`${excused} records are twice, sent again by Java behind one that it gave up`)
  for (const problem of problems.slice(0, 50)) console.log(`WRONG: ${problem}`)
  if (problems.length > 0)
    console.log(`${problems.length} problems; what the brokers said is kept in ${directory}`)
  else console.log('every acknowledged record is there once, at its offset, in order; nothing was invented')
  return problems.length === 0 ? 0 : 1
}

function perSecond(times: readonly number[]): number[] {
  const counts = new Array<number>(Math.ceil(now() / 1000)).fill(0)
  for (const atMs of times) counts[Math.floor(atMs / 1000)]! += 1
  return counts
}

function cleanUp(): void {
  if (isCleaned) return
  isCleaned = true
  for (const each of cleanUps.reverse()) {
    try {
      each()
    } catch (error) {
      console.error(String(error))
    }
  }
  forgetMaker(directory)
  if (ledger.problems.length === 0 && !values.keep) rmSync(directory, { recursive: true, force: true })
}

/** Where faketime keeps its library. */
function fakeClockLibrary(): string | null {
  mkdirSync(directory, { recursive: true })
  const places = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64']
  return places.map((place) => `${place}/faketime/libfaketimeMT.so.1`).find(existsSync) ?? null
}
