import { writeFileSync } from 'node:fs'
import { diagram } from '../../testing/diagram.ts'
import { type Shrunk, shrink } from '../../testing/shrink.ts'
import { Trace } from '../../testing/trace.ts'
import { runSeed, type SeedOptions } from './runSeed.ts'

/** How many events of each node a diagram shows. */
const shownEvents = 60

/** A failing run made as small as it gets, and what it takes to make it again. */
export interface FailureReport {
  readonly text: string
  readonly command: string
}

/** Makes a failing run again, smaller if `isShrunk`, and draws its end into `svgPath`. */
export async function explainFailure(
  options: SeedOptions,
  isShrunk: boolean,
  svgPath: string | null,
): Promise<FailureReport> {
  const first = await runSeed(options)
  if (first.failure === null) return { text: 'the failure does not happen again', command: '' }
  let skipFaults = options.skipFaults ?? new Set<number>()
  let skipOperations = options.skipOperations ?? new Set<number>()
  let smallest: Shrunk<object & typeof first.failure> | null = null
  if (isShrunk) {
    const faults = first.faults.map(({ number }) => number)
    const operations = first.operations.map(({ number }) => number)
    smallest = await shrink(
      {
        faults,
        operations,
        run: async (skipped) =>
          (
            await runSeed({
              ...options,
              skipFaults: union(options.skipFaults, skipped.faults),
              skipOperations: union(options.skipOperations, skipped.operations),
            })
          ).failure,
      },
      first.failure,
    )
    const kept = new Set(smallest.faults)
    const done = new Set(smallest.operations)
    skipFaults = union(
      options.skipFaults,
      faults.filter((each) => !kept.has(each)),
    )
    skipOperations = union(
      options.skipOperations,
      operations.filter((each) => !done.has(each)),
    )
  }
  const last = await runSeed({
    ...options,
    skipFaults,
    skipOperations,
    trace: (now) => new Trace({ now, keep: shownEvents }),
  })
  const { failure, trace, faults } = last
  if (failure === null || trace === null) return { text: 'the failure does not happen again', command: '' }
  const command = replayCommand({ ...options, skipFaults, skipOperations })
  const title = `seed ${options.seed}: ${failure.message}`
  if (svgPath !== null) writeFileSync(svgPath, diagram(trace.events, { title }))
  const lines = [
    `${failure.message}`,
    `  at event ${failure.event}, ${failure.atMs.toFixed(3)} ms of seed ${options.seed}`,
    ...faults.map(
      ({ number, atMs, ...fault }) => `  fault ${number} at ${atMs} ms: ${JSON.stringify(fault)}`,
    ),
    ...(smallest === null
      ? []
      : [`  ${smallest.faults.length} faults and ${smallest.operations.length} operations are needed`]),
    ...(svgPath === null ? [] : [`  the last events of each node: ${svgPath}`]),
    `  again: ${command}`,
  ]
  return { text: lines.join('\n'), command }
}

/** The one command that makes a run again. */
export function replayCommand({
  brokers,
  seed,
  nodes,
  classes,
  skipFaults,
  skipOperations,
}: SeedOptions): string {
  const list = (name: string, numbers: ReadonlySet<number> | undefined): string[] =>
    numbers === undefined || numbers.size === 0 ? [] : [name, rangesOf(numbers)]
  return [
    'cordwood fuzz',
    ...(brokers === true ? ['--brokers'] : []),
    `--seed ${seed} --seeds 1`,
    ...(nodes === undefined ? [] : [`--nodes ${nodes}`]),
    ...(classes === undefined ? [] : [`--faults ${classes.join(',')}`]),
    ...list('--skip-faults', skipFaults),
    ...list('--skip-operations', skipOperations),
    '--trace',
  ].join(' ')
}

/** Numbers as `1-4,7`. */
export function rangesOf(numbers: ReadonlySet<number>): string {
  const sorted = [...numbers].sort((a, b) => a - b)
  const parts: string[] = []
  for (let at = 0; at < sorted.length; at++) {
    const from = sorted[at]!
    while (sorted[at + 1] === sorted[at]! + 1) at++
    parts.push(from === sorted[at] ? String(from) : `${from}-${sorted[at]}`)
  }
  return parts.join(',')
}

/** The numbers that `1-4,7` stands for; null when it stands for none. */
export function parseRanges(text: string): ReadonlySet<number> | null {
  const numbers = new Set<number>()
  for (const part of text.split(',')) {
    const match = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(part)
    if (match === null) return null
    const last = Number(match[2] ?? match[1])
    if (last - Number(match[1]) > 1_000_000) return null
    for (let number = Number(match[1]); number <= last; number++) numbers.add(number)
  }
  return numbers
}

function union(left: ReadonlySet<number> | undefined, right: Iterable<number>): ReadonlySet<number> {
  return new Set([...(left ?? []), ...right])
}
