import { type FlushPolicyName, isDurable } from '../../model/flushPolicy.ts'
import { loadAddon } from '../../zerocopy/addon.ts'
import { measureFloor } from '../../zerocopy/floor.ts'
import { BenchStore } from './benchStore.ts'
import { benchPolicies, estimate, type FlushBenchOptions, mainOf } from './flushOptions.ts'
import { type Cell, cellOf, type LoadPoint, median, type Place, type Sample } from './flushResult.ts'
import { storageBytes } from './storageBytes.ts'
import { closedLoop, openLoop, type Run } from './workload.ts'

/** Bytes in files at which a store is made anew: no disk is filled. */
const storeBytes = 6e9

/** Who is told how the benchmark gets on. */
export interface FlushBenchEvents {
  /** Called before each measurement, with how many are behind it. */
  measuring(done: number, what: string): void
  /** All of one number of logs have been measured. */
  measured(cells: readonly Cell[]): void
}

/** What the benchmark measured. */
export interface Measurements {
  readonly cells: readonly Cell[]
  readonly crossover: readonly Cell[]
  readonly load: readonly LoadPoint[]
  readonly implementation: 'native' | 'portable'
}

/**
 * Measures every combination of policy, number of logs, size and writers. All policies of one number of logs share one
 * engine and its files, take turns in every round, and begin when everything earlier is on the disk. Rejects with the
 * signal's reason; files are removed however it ends.
 */
export async function runFlushBench(
  options: FlushBenchOptions,
  signal: AbortSignal,
  events: FlushBenchEvents,
): Promise<Measurements> {
  return new FlushBench(options, signal, events).run()
}

class FlushBench {
  readonly #options: FlushBenchOptions
  readonly #signal: AbortSignal
  readonly #events: FlushBenchEvents
  readonly #hasFloor = loadAddon().addon !== null
  readonly #samples = new Map<string, { readonly place: Place; readonly samples: Sample[] }>()
  #store: BenchStore | null = null
  readonly #startedMs = performance.now()
  readonly #cells: number
  /** Of making and removing, as the logs before took it. */
  #secondsPerLog = 0.001
  #makingSeconds = 0
  #done = 0
  #implementation: 'native' | 'portable' = 'portable'

  constructor(options: FlushBenchOptions, signal: AbortSignal, events: FlushBenchEvents) {
    this.#options = options
    this.#cells = estimate(options).cells
    this.#signal = signal
    this.#events = events
  }

  async run(): Promise<Measurements> {
    const { logs, crossoverLogs, loadLogs } = this.#options
    const cells: Cell[] = []
    const crossover: Cell[] = []
    const load: LoadPoint[] = []
    try {
      for (const count of logs) {
        // Most of the time that many logs take is that of making and removing them: less for each, the more there are.
        if (this.#isLeft(count > 1000 ? 5 + 0.7 * count * this.#secondsPerLog : 10)) break
        const found = await this.#grid(count)
        this.#events.measured(found)
        cells.push(...found)
        if (crossoverLogs.includes(count)) crossover.push(...(await this.#crossover(count)))
        if (count === loadLogs && !this.#isLeft(28)) load.push(...(await this.#load(loadLogs)))
        await this.#closeStore()
      }
    } finally {
      await this.#closeStore()
    }
    return { cells, crossover, load, implementation: this.#implementation }
  }

  async #grid(logs: number): Promise<Cell[]> {
    await this.#closeStore()
    const { policies, sizes, writers, rounds } = this.#options
    for (let round = 0; round < rounds; round++) {
      if (this.#skips(round, (policies.length + 1) * sizes.length * writers.length)) continue
      for (const sizeBytes of sizes) {
        for (const count of writers) {
          const place = { logs, sizeBytes, writers: count }
          await this.#floor({ ...place, policy: 'floor' }, round)
          for (const policy of durableFirst(policies)) {
            if (!this.#isLeft(this.#removalSeconds)) await this.#measure({ ...place, policy }, policy, round)
          }
        }
      }
    }
    return this.#takeCells()
  }

  async #crossover(logs: number): Promise<Cell[]> {
    const { crossoverSizes, rounds, policies } = this.#options
    const writers = this.#writers
    for (let round = 0; round < rounds; round++) {
      if (this.#skips(round, crossoverSizes.length * 2)) continue
      for (const sizeBytes of crossoverSizes) {
        for (const policy of ['journal', 'batch'] as const) {
          if (!policies.includes(policy)) continue
          await this.#measure({ logs, sizeBytes, writers, policy }, policy, round)
        }
      }
    }
    return this.#takeCells()
  }

  /** Latency at shares of what each policy takes at most. */
  async #load(logs: number): Promise<LoadPoint[]> {
    const { loads, loadPolicies, policies, seconds, rounds } = this.#options
    const sizeBytes = this.#size
    const writers = this.#writers
    const points: LoadPoint[] = []
    let journalMost = 0
    for (const policy of durableFirst(loadPolicies.filter((each) => policies.includes(each)))) {
      const place = { logs, sizeBytes, writers, policy }
      const most = cellOf(place, [await this.#sample(place, policy, `${policy}: the greatest load`)])
      if (policy === 'journal') journalMost = most.appendsPerSecond
      for (const share of loads) {
        const perSecond = Math.max(1, most.appendsPerSecond * share)
        const runs: Run[] = []
        for (let round = 0; round < rounds; round++) {
          if (this.#skips(round, 1)) continue
          const store = await this.#prepare(place, policy, `${policy} at ${Math.round(share * 100)} % load`)
          const longer = { ...this.#workload(store, place), seconds: Math.max(seconds, 0.3) }
          runs.push(await openLoop(longer, perSecond))
        }
        points.push(pointOf(policy, share, perSecond * sizeBytes, sizeBytes, runs))
      }
    }
    if (!this.#hasFloor || journalMost === 0) return points
    for (const share of loads) {
      this.#step(`floor at ${Math.round(share * 100)} % load`)
      const groupsPerSecond = Math.max(1, (journalMost * share) / writers)
      const found = await this.#bare(logs, sizeBytes, writers, groupsPerSecond)
      const run = { ...found, appends: found.groups * writers, cpuSeconds: 0 }
      points.push(pointOf('floor', share, journalMost * share * sizeBytes, sizeBytes, [run]))
    }
    return points
  }

  async #measure(place: Place, policy: FlushPolicyName, round: number): Promise<void> {
    const what = `${policy}, ${place.logs} logs, ${place.sizeBytes} bytes, ${place.writers} writers, round ${round + 1}`
    this.#keep(place, await this.#sample(place, policy, what))
  }

  async #sample(place: Place, policy: FlushPolicyName, what: string): Promise<Sample> {
    const { journalBytes, minRecycles, rounds } = this.#options
    const store = await this.#prepare(place, policy, what)
    const recycles = (appends: number): number => (appends * place.sizeBytes) / journalBytes
    const isDurable = policy === 'journal' || policy === 'batch' || policy === 'append'
    const goOn =
      isDurable && minRecycles > 0
        ? (appends: number): boolean => recycles(appends) * rounds < minRecycles
        : undefined
    const before = storageBytes(this.#options.directory)
    const run = await closedLoop({ ...this.#workload(store, place), goOn })
    // What is only in the page cache yet will be written too.
    await store.settle()
    const after = storageBytes(this.#options.directory)
    const all = run.appends * (1 + this.#warmupSeconds / run.seconds)
    const share = run.appends / Math.max(all, 1)
    const writtenBytes = before === null || after === null ? null : (after - before) * share
    return { ...run, writtenBytes, recycles: policy === 'journal' ? recycles(run.appends) : null }
  }

  async #floor(place: Place, round: number): Promise<void> {
    this.#step(`floor, ${place.logs} logs, ${place.sizeBytes} bytes, round ${round + 1}`)
    // Its journal is filled with zeros first, which takes longer than a short measurement: one round has to do.
    const isOnce = this.#options.deadlineSeconds !== null
    if (!this.#hasFloor || (isOnce && round > 0)) return
    const found = await this.#bare(place.logs, place.sizeBytes, place.writers)
    const appends = found.groups * place.writers
    const { seconds, p50Us, p99Us, maxUs, recycles } = found
    this.#keep(place, {
      appends,
      seconds,
      p50Us,
      p99Us,
      maxUs,
      recycles,
      cpuSeconds: 0,
      // What filling the journal wrote cannot be told from the rest.
      writtenBytes: null,
    })
  }

  #bare(logs: number, bytes: number, appendsPerGroup: number, groupsPerSecond?: number) {
    const { directory, seconds, journalBytes, deadlineSeconds } = this.#options
    const isShort = deadlineSeconds !== null
    return measureFloor({
      directory,
      partitions: logs,
      appendsPerGroup,
      bytes,
      // Short, but long enough to use the journal again: a smaller one is filled sooner.
      seconds: isShort ? Math.max(seconds, 0.3) : seconds,
      journalMib: Math.max(1, Math.round(journalBytes / (isShort ? 2 << 20 : 1 << 20))),
      mode: 'journal',
      signal: this.#signal,
      ...(groupsPerSecond === undefined ? {} : { groupsPerSecond }),
    })
  }

  /** Whether a round other than the first is left out: the time that was planned is over. Counts its cells as done. */
  #skips(round: number, cells: number): boolean {
    const { deadlineSeconds } = this.#options
    if (round === 0 || deadlineSeconds === null) return false
    const elapsed = (performance.now() - this.#startedMs) / 1000
    if (elapsed / deadlineSeconds <= this.#done / this.#cells) return false
    this.#done += cells
    return true
  }

  /** Whether what takes so many seconds is left out: it would not end in time. */
  #isLeft(seconds: number): boolean {
    const { limitSeconds } = this.#options
    return limitSeconds !== null && performance.now() - this.#startedMs > (limitSeconds - seconds) * 1000
  }

  /** The store with `place.logs` logs under `policy`, and nothing left to be written. */
  async #prepare(place: Place, policy: FlushPolicyName, what: string): Promise<BenchStore> {
    this.#step(what)
    if (this.#store !== null && this.#store.sizeBytes > storeBytes) await this.#closeStore()
    this.#store ??= await this.#open(place.logs)
    await this.#store.use(benchPolicies[policy])
    return this.#store
  }

  async #open(count: number): Promise<BenchStore> {
    const { directory, journalBytes } = this.#options
    const startedMs = performance.now()
    const store = await BenchStore.open(directory, count, journalBytes, this.#signal, (made) => {
      this.#announce(`making ${count} logs: ${made}`)
    })
    this.#store = store
    this.#implementation = store.kind
    // Every file is there, every log and its memory were used, before anything counts.
    const value = Buffer.alloc(64)
    for (let at = 0; at < count; at += 256) {
      this.#signal.throwIfAborted()
      await Promise.all(store.logs.slice(at, at + 256).map((log) => log.append({ value })))
    }
    this.#makingSeconds = (performance.now() - startedMs) / 1000
    await this.#fillJournal(store)
    return store
  }

  /** Writes as much as the journal holds, so that what is measured uses it again and does not make it. */
  async #fillJournal(store: BenchStore): Promise<void> {
    const { journalBytes, policies, deadlineSeconds } = this.#options
    if (!policies.includes('journal')) return
    this.#announce('filling the journal')
    await store.use('journal')
    const signal = this.#signal
    const sizeBytes = 65_536
    const mostPeriods = deadlineSeconds === null ? 600 : 80
    const goOn = (appends: number): boolean => appends * sizeBytes < journalBytes
    const { logs } = store
    await closedLoop({
      logs,
      sizeBytes,
      writers: 32,
      seconds: 0.05,
      warmupSeconds: 0,
      signal,
      goOn,
      mostPeriods,
    })
  }

  #workload(store: BenchStore, { sizeBytes, writers }: Place) {
    const { seconds } = this.#options
    const warmupSeconds = this.#warmupSeconds
    return { logs: store.logs, sizeBytes, writers, seconds, warmupSeconds, signal: this.#signal }
  }

  get #warmupSeconds(): number {
    return 0.05 + this.#options.seconds * 0.2
  }

  get #size(): number {
    return mainOf(this.#options.sizes, 4096)
  }

  get #writers(): number {
    return mainOf(this.#options.writers, 32)
  }

  #keep(place: Place, sample: Sample): void {
    const key = JSON.stringify([place.policy, place.logs, place.sizeBytes, place.writers])
    const known = this.#samples.get(key)
    if (known === undefined) this.#samples.set(key, { place, samples: [sample] })
    else known.samples.push(sample)
  }

  #takeCells(): Cell[] {
    const order: readonly string[] = ['floor', ...this.#options.policies]
    const cells = [...this.#samples.values()]
      .map(({ place, samples }) => cellOf(place, samples))
      .sort((left, right) => order.indexOf(left.policy) - order.indexOf(right.policy))
    this.#samples.clear()
    return cells
  }

  #step(what: string): void {
    this.#signal.throwIfAborted()
    this.#announce(what)
    this.#done += 1
  }

  #announce(what: string): void {
    this.#events.measuring(this.#done, what)
  }

  async #closeStore(): Promise<void> {
    const store = this.#store
    this.#store = null
    if (store === null) return
    const startedMs = performance.now()
    await store.close()
    const seconds = this.#makingSeconds + (performance.now() - startedMs) / 1000
    this.#secondsPerLog = seconds / store.logs.length
  }

  /** About what removing the present logs will take. */
  get #removalSeconds(): number {
    return Math.max(3, this.#makingSeconds * 2)
  }
}

/** A policy that is raised has to wait until everything earlier is synced: once a round is enough. */
function durableFirst(policies: readonly FlushPolicyName[]): FlushPolicyName[] {
  const of = (durable: boolean): FlushPolicyName[] =>
    policies.filter((policy) => isDurable(benchPolicies[policy]) === durable)
  return [...of(true), ...of(false)]
}

function pointOf(
  policy: LoadPoint['policy'],
  share: number,
  offeredBytes: number,
  sizeBytes: number,
  runs: readonly Run[],
): LoadPoint {
  const of = (value: (run: Run) => number): number => median(runs.map(value))
  return {
    policy,
    share,
    offeredMegabytesPerSecond: Number((offeredBytes / 1e6).toFixed(2)),
    megabytesPerSecond: Number(
      of(({ appends, seconds }) => (appends * sizeBytes) / 1e6 / Math.max(seconds, 1e-9)).toFixed(2),
    ),
    p50Us: of(({ p50Us }) => p50Us),
    p99Us: of(({ p99Us }) => p99Us),
  }
}
