import type { FlushPolicy, FlushPolicyName } from '../../model/flushPolicy.ts'

/** The policies that are compared: under each name the setting that stands for it. */
export const benchPolicies: Readonly<Record<FlushPolicyName, FlushPolicy>> = {
  none: 'none',
  interval: { intervalMs: 1000 },
  bytes: { bytes: 1 << 20 },
  records: { records: 1000 },
  journal: 'journal',
  batch: 'batch',
  append: 'append',
}

/** What an acknowledgement is worth under each policy, in a few words. */
export const survives: Readonly<
  Record<FlushPolicyName, { readonly setting: string; readonly kill: string; readonly power: string }>
> = {
  none: { setting: 'none', kill: 'nothing lost', power: 'what the system had not written yet' },
  interval: { setting: 'intervalMs: 1000', kill: 'nothing lost', power: 'up to a second of each log' },
  bytes: { setting: 'bytes: 1 MiB', kill: 'nothing lost', power: 'up to 1 MiB of each log' },
  records: { setting: 'records: 1000', kill: 'nothing lost', power: 'up to 1,000 records of each log' },
  journal: { setting: 'journal', kill: 'nothing lost', power: 'nothing lost' },
  batch: { setting: 'batch', kill: 'nothing lost', power: 'nothing lost' },
  append: { setting: 'append', kill: 'nothing lost', power: 'nothing lost' },
}

/** What is measured. */
export interface FlushBenchOptions {
  readonly policies: readonly FlushPolicyName[]
  readonly logs: readonly number[]
  /** Bytes of a record's value; an append is one record. */
  readonly sizes: readonly number[]
  /** Appends under way at any time. */
  readonly writers: readonly number[]
  /** Where to write: a directory of its own is made in it and removed. */
  readonly directory: string
  /** Of one measurement. */
  readonly seconds: number
  readonly rounds: number
  /** Whoever is behind this plan leaves out all rounds but the first; null takes the time it takes. */
  readonly deadlineSeconds: number | null
  /** All is over by then: what does not fit any more is left out, and said to be; null measures everything. */
  readonly limitSeconds: number | null
  /** Of the journal; a small one is used again sooner. */
  readonly journalBytes: number
  /** Measures durable policies until the journal has been used again so often, or five times as long. 0: never mind. */
  readonly minRecycles: number
  /** Sizes at which `journal` and `batch` are held against each other with few logs. */
  readonly crossoverSizes: readonly number[]
  readonly crossoverLogs: readonly number[]
  /** Shares of the greatest load at which latency is measured. */
  readonly loads: readonly number[]
  /** How many logs there are then. */
  readonly loadLogs: number
  /** The policies that take part in it. */
  readonly loadPolicies: readonly FlushPolicyName[]
}

const mebibyte = 1 << 20

/** Ends within a minute, also on a slow machine with other work; in about 40 seconds elsewhere. */
export const quickPreset: Omit<FlushBenchOptions, 'directory'> = {
  policies: ['none', 'interval', 'bytes', 'records', 'journal', 'batch', 'append'],
  logs: [1, 16, 256, 1000, 10_000],
  sizes: [4096],
  writers: [32],
  seconds: 0.2,
  rounds: 1,
  deadlineSeconds: 20,
  limitSeconds: 50,
  journalBytes: 64 * mebibyte,
  minRecycles: 0,
  crossoverSizes: [1024, 16_384, 65_536, 262_144],
  crossoverLogs: [1],
  loads: [0.25, 0.5, 0.8],
  loadLogs: 256,
  loadPolicies: ['none', 'journal', 'batch'],
}

/** Everything, with the journal used again at least ten times in every durable figure that can write so much. */
export const fullPreset: Omit<FlushBenchOptions, 'directory'> = {
  ...quickPreset,
  sizes: [1024, 4096, 65_536],
  writers: [1, 32, 256],
  seconds: 2,
  rounds: 3,
  deadlineSeconds: null,
  limitSeconds: null,
  minRecycles: 10,
  crossoverSizes: [1024, 4096, 16_384, 65_536, 262_144, 1_000_000],
  crossoverLogs: [1, 16],
  loads: [0.1, 0.25, 0.5, 0.75, 0.9],
  loadLogs: 1000,
  loadPolicies: ['none', 'interval', 'journal', 'batch', 'append'],
}

/** The value of a list that stands for all of them: what plots that vary something else are drawn with. */
export function mainOf(values: readonly number[], wanted: number): number {
  return values.includes(wanted) ? wanted : values[values.length >> 1]!
}

/** How many measurements `options` ask for, and about how many seconds they take. */
export function estimate(options: FlushBenchOptions): { readonly cells: number; readonly seconds: number } {
  const { policies, logs, sizes, writers, rounds, seconds } = options
  // The floor is one of them.
  const grid = (policies.length + 1) * logs.length * sizes.length * writers.length * rounds
  const crossover = options.crossoverSizes.length * options.crossoverLogs.length * 2 * rounds
  const load = options.loadPolicies.length * (1 + options.loads.length * rounds) + options.loads.length
  const cells = grid + crossover + load
  const warm = seconds * 0.2 + 0.1
  const made = logs.reduce((sum, count) => sum + count, 0)
  // For each number of logs a journal is filled, and files are made and removed.
  const needed = cells * (seconds + warm) + logs.length * 2 + made * 0.0005
  // Making and removing what is measured takes about as long as the plan.
  const planned = options.deadlineSeconds === null ? needed : options.deadlineSeconds * 2
  return { cells, seconds: Math.min(needed, planned) }
}
