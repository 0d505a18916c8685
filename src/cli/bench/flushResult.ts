import type { FlushPolicyName } from '../../model/flushPolicy.ts'
import type { FlushBenchOptions } from './flushOptions.ts'
import type { Machine } from './machine.ts'
import type { Run } from './workload.ts'

/** `floor` stands for bare system calls: the journal's writes and syncs without an engine. */
export type Measured = FlushPolicyName | 'floor'

/** One combination, the median of its rounds. */
export interface Cell {
  readonly policy: Measured
  readonly logs: number
  readonly sizeBytes: number
  readonly writers: number
  readonly rounds: number
  readonly appendsPerSecond: number
  /** Millions of bytes of records a second. */
  readonly megabytesPerSecond: number
  /** The slowest and the fastest round. */
  readonly range: readonly [number, number]
  readonly p50Us: number
  readonly p99Us: number
  readonly maxUs: number
  /** Bytes written to the disk for each byte that was acknowledged; null where the system does not tell. */
  readonly writtenPerByte: number | null
  readonly cpuUsPerAppend: number | null
  /** How often the whole journal was used again, in all rounds, at least; null where there is none. */
  readonly recycles: number | null
}

/** Latency at a load. */
export interface LoadPoint {
  readonly policy: Measured
  /** Of what the policy took at most. */
  readonly share: number
  readonly offeredMegabytesPerSecond: number
  readonly megabytesPerSecond: number
  readonly p50Us: number
  readonly p99Us: number
}

/** All that one run of the benchmark found. */
export interface FlushResult {
  readonly format: 1
  readonly cordwood: string
  readonly when: string
  readonly form: 'quick' | 'full'
  /** Which implementation of the disk: the addon, or Node alone. */
  readonly implementation: 'native' | 'portable'
  readonly machine: Machine
  readonly options: FlushBenchOptions
  readonly seconds: number
  readonly cells: readonly Cell[]
  /** `journal` and `batch` with few logs and growing appends. */
  readonly crossover: readonly Cell[]
  readonly load: readonly LoadPoint[]
}

/** One round of one combination. */
export interface Sample extends Run {
  readonly writtenBytes: number | null
  /** Of the journal, at least; null where there is none. */
  readonly recycles: number | null
}

/** What a sample is of. */
export interface Place {
  readonly policy: Measured
  readonly logs: number
  readonly sizeBytes: number
  readonly writers: number
}

/** The median of some numbers; of an even count the lower one. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right)
  return sorted[(sorted.length - 1) >> 1] ?? 0
}

/** The rounds of one combination as one cell. */
export function cellOf(place: Place, samples: readonly Sample[]): Cell {
  const of = (value: (sample: Sample) => number): number => median(samples.map(value))
  const rate = (sample: Sample): number => (sample.seconds > 0 ? sample.appends / sample.seconds : 0)
  const megabytes = (sample: Sample): number => (rate(sample) * place.sizeBytes) / 1e6
  const rates = samples.map(megabytes)
  const written = samples.flatMap(({ writtenBytes, appends }) =>
    writtenBytes === null || appends === 0 ? [] : [writtenBytes / (appends * place.sizeBytes)],
  )
  const recycles = samples.map((sample) => sample.recycles)
  const isBare = place.policy === 'floor'
  return {
    ...place,
    rounds: samples.length,
    appendsPerSecond: Math.round(of(rate)),
    megabytesPerSecond: round(of(megabytes), 2),
    range: [round(Math.min(...rates), 2), round(Math.max(...rates), 2)],
    p50Us: of(({ p50Us }) => p50Us),
    p99Us: of(({ p99Us }) => p99Us),
    maxUs: Math.max(...samples.map(({ maxUs }) => maxUs)),
    writtenPerByte: written.length === 0 ? null : round(median(written), 2),
    cpuUsPerAppend:
      isBare || samples.every(({ appends }) => appends === 0)
        ? null
        : round(
            of(({ cpuSeconds, appends }) => (appends === 0 ? 0 : (cpuSeconds / appends) * 1e6)),
            1,
          ),
    recycles: recycles.every((count) => count === null)
      ? null
      : round(
          recycles.reduce<number>((sum, count) => sum + (count ?? 0), 0),
          1,
        ),
  }
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits))
}
