import { coverageMarks } from '../../model/reached.ts'
import { type FaultClass, faultClasses } from '../../testing/fault.ts'
import { TraceHash } from '../../testing/traceHash.ts'
import type { SeedReport } from './seedReport.ts'

/** What the live line counts together: it has no room for every class. */
const groupOf: Readonly<Record<FaultClass, string>> = {
  kill: 'processes',
  killAtCall: 'processes',
  crashLoop: 'processes',
  restart: 'processes',
  pause: 'processes',
  powerCut: 'power',
  crashAfterVote: 'power',
  wallJump: 'clocks',
  drift: 'clocks',
  looseTimers: 'clocks',
  partition: 'network',
  slowLink: 'network',
  lossyLink: 'network',
  clog: 'network',
  reset: 'network',
  halfOpen: 'network',
  lateRequests: 'network',
  slowAccept: 'network',
  cutReigns: 'network',
  syncError: 'disks',
  readError: 'disks',
  badSector: 'disks',
  diskFull: 'disks',
  shortWrites: 'disks',
  noDescriptors: 'disks',
  slowDisk: 'disks',
  hungDisk: 'disks',
  rot: 'disks',
  diskLost: 'disks',
  diskBack: 'disks',
  lyingFlush: 'disks',
  transferLeadership: 'operators',
  addVoter: 'operators',
  removeVoter: 'operators',
  snapshot: 'operators',
}

/** What many seeds came to. */
export class FuzzTotals {
  seeds = 0
  events = 0
  simulatedMs = 0
  acked = 0
  unknown = 0
  looked = 0
  fewestEvents = Number.POSITIVE_INFINITY
  fewestFaults = Number.POSITIVE_INFINITY
  readonly failures: SeedReport[] = []
  readonly #faults = new Map<string, number>()
  readonly #marks = new Map<string, number>()
  readonly #hashes = new Map<number, string>()

  add(report: SeedReport): void {
    this.seeds++
    this.events += report.events
    this.simulatedMs += report.simulatedMs
    this.acked += report.acked
    this.unknown += report.unknown
    this.looked += report.looked
    let faults = 0
    for (const [kind, count] of Object.entries(report.faults)) {
      faults += count
      this.#faults.set(kind, (this.#faults.get(kind) ?? 0) + count)
    }
    for (const [mark, count] of Object.entries(report.marks)) {
      this.#marks.set(mark, (this.#marks.get(mark) ?? 0) + count)
    }
    this.fewestEvents = Math.min(this.fewestEvents, report.events)
    this.fewestFaults = Math.min(this.fewestFaults, faults)
    this.#hashes.set(report.seed, report.traceHash)
    if (report.failure !== null) this.failures.push(report)
  }

  /** Of all seeds together, whatever order they ran in. */
  get traceHash(): string {
    const hash = new TraceHash()
    for (const seed of [...this.#hashes.keys()].sort((a, b) => a - b)) {
      hash.add(seed)
      hash.addText(this.#hashes.get(seed)!)
    }
    return hash.hex
  }

  /** How often each class of faults has happened, in the order of the classes. */
  get faults(): Readonly<Record<string, number>> {
    return Object.fromEntries(faultClasses.map((kind) => [kind, this.#faults.get(kind) ?? 0]))
  }

  /** How often each rare branch was taken. */
  get marks(): Readonly<Record<string, number>> {
    return Object.fromEntries(coverageMarks.map((mark) => [mark, this.#marks.get(mark) ?? 0]))
  }

  /** Rare branches that no seed has come through. */
  get unreached(): readonly string[] {
    return coverageMarks.filter((mark) => !this.#marks.has(mark))
  }

  /** The totals in one line, with the faults by what they befell. */
  live(seconds: number): string {
    const groups = new Map<string, number>()
    for (const kind of faultClasses) {
      const count = this.#faults.get(kind) ?? 0
      if (count > 0) groups.set(groupOf[kind], (groups.get(groupOf[kind]) ?? 0) + count)
    }
    const faults = [...groups].map(([group, count]) => `${group} ${number(count)}`)
    return faults.length === 0 ? this.line(seconds) : `${this.line(seconds)} · ${faults.join(', ')}`
  }

  /** The totals in one line. */
  line(seconds: number): string {
    const reached = coverageMarks.length - this.unreached.length
    const faults = [...this.#faults.values()].reduce((sum, count) => sum + count, 0)
    return [
      `${number(this.seeds)} seeds in ${number(seconds)} s`,
      `${number(this.events)} events (${number(this.events / seconds)}/s)`,
      `${number(this.simulatedMs / 1000)} s simulated (${number(this.simulatedMs / 1000 / seconds)} x)`,
      `${number(faults)} faults`,
      `${reached}/${coverageMarks.length} rare branches`,
      ...(this.failures.length > 0 ? [`${this.failures.length} FAILED`] : []),
    ].join(' · ')
  }

  /** Everything, in a few lines. */
  summary(seconds: number): string {
    const faults = Object.entries(this.faults)
      .filter(([, count]) => count > 0)
      .map(([kind, count]) => `${kind} ${number(count)}`)
    const { unreached } = this
    const perSeed =
      this.seeds === 0
        ? ''
        : ` (at least ${number(this.fewestEvents)} events and ${this.fewestFaults} faults each)`
    return [
      `${this.line(seconds)}${perSeed}`,
      `faults: ${faults.join(', ') || 'none'}`,
      `clients: ${number(this.acked)} appends acknowledged, ${number(this.unknown)} in doubt; ${number(this.looked)} effects checked`,
      `rare branches never taken: ${unreached.join(', ') || 'none'}`,
      `trace hash: ${this.traceHash}`,
    ].join('\n')
  }

  /** Everything, for programs. */
  json(seconds: number): object {
    return {
      seconds,
      seeds: this.seeds,
      events: this.events,
      eventsPerSecond: this.events / seconds,
      simulatedMs: this.simulatedMs,
      timesRealTime: this.simulatedMs / 1000 / seconds,
      fewestEvents: this.seeds === 0 ? null : this.fewestEvents,
      fewestFaults: this.seeds === 0 ? null : this.fewestFaults,
      acked: this.acked,
      unknown: this.unknown,
      effectsChecked: this.looked,
      faults: this.faults,
      marks: this.marks,
      traceHash: this.traceHash,
      failures: this.failures,
    }
  }
}

function number(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}
