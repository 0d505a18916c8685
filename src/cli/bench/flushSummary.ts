import { mainOf } from './flushOptions.ts'
import type { Cell, FlushResult, Measured } from './flushResult.ts'

/** How many times as much `journal` acknowledges as `batch` at one size. */
interface Ratio {
  readonly sizeBytes: number
  readonly ratio: number
}

/** Where `journal` and `batch` meet for one number of logs. */
export interface Crossover {
  readonly logs: number
  /** Ascending by size. */
  readonly ratios: readonly Ratio[]
  /** Those of them at which `batch` acknowledges more, by more than rounds differ. */
  readonly batchAhead: readonly Ratio[]
}

/** Less than this apart counts as equal: rounds differ by as much. */
const margin = 1.05

/** The cell of these, null when it was not measured. */
export function cellFor(
  cells: readonly Cell[],
  policy: Measured,
  logs: number,
  sizeBytes: number,
  writers: number,
): Cell | null {
  return (
    cells.find(
      (cell) =>
        cell.policy === policy &&
        cell.logs === logs &&
        cell.sizeBytes === sizeBytes &&
        cell.writers === writers,
    ) ?? null
  )
}

/** The size and the writers that plots over something else are drawn with. */
export function mainPlace({ options }: FlushResult): {
  readonly sizeBytes: number
  readonly writers: number
} {
  return { sizeBytes: mainOf(options.sizes, 4096), writers: mainOf(options.writers, 32) }
}

/** `journal` beside `batch`, for every number of logs for which sizes were measured. */
export function crossovers(result: FlushResult): Crossover[] {
  const { writers } = mainPlace(result)
  const all = [...result.crossover, ...result.cells].filter((cell) => cell.writers === writers)
  const counts = [...new Set(all.map(({ logs }) => logs))].sort((left, right) => left - right)
  return counts.flatMap((logs) => {
    const sizes = [...new Set(all.filter((cell) => cell.logs === logs).map(({ sizeBytes }) => sizeBytes))]
    const ratios = sizes
      .sort((left, right) => left - right)
      .flatMap((sizeBytes) => {
        const journal = cellFor(all, 'journal', logs, sizeBytes, writers)
        const batch = cellFor(all, 'batch', logs, sizeBytes, writers)
        if (journal === null || batch === null || batch.megabytesPerSecond === 0) return []
        return [{ sizeBytes, ratio: journal.megabytesPerSecond / batch.megabytesPerSecond }]
      })
    if (ratios.length === 0) return []
    return [{ logs, ratios, batchAhead: ratios.filter(({ ratio }) => ratio < 1 / margin) }]
  })
}

/** The numbers of logs that were measured, ascending: of those that were asked for, the last may not have fitted. */
export function measuredLogs({ options, cells }: FlushResult): number[] {
  return options.logs.filter((count) => cells.some(({ logs }) => logs === count))
}

/** What the figures say, in sentences: what durable costs, where the journal pays, and where it stops paying. */
export function findings(result: FlushResult): string[] {
  const { sizeBytes, writers } = mainPlace(result)
  const at = (policy: Measured, logs: number): Cell | null =>
    cellFor(result.cells, policy, logs, sizeBytes, writers)
  const said: string[] = []
  const logs = measuredLogs(result)
  if (logs.length === 0) return ['Nothing was measured.']
  const most = logs.at(-1)!
  for (const count of [...new Set([logs[0]!, most])]) {
    const journal = at('journal', count)
    if (journal === null) continue
    const beside = (['none', 'floor', 'batch', 'append'] as const).flatMap((policy) => {
      const other = at(policy, count)
      if (other === null || other.megabytesPerSecond === 0) return []
      return [`${timesText(journal.megabytesPerSecond / other.megabytesPerSecond)} ${names[policy]}`]
    })
    said.push(
      `With ${logsText(count)}, the journal acknowledges ${megabytesText(journal.megabytesPerSecond)} durably${beside.length === 0 ? '' : `: ${listText(beside)}`}.`,
    )
  }
  const first = at('journal', logs[0]!)
  const last = at('journal', most)
  if (first !== null && last !== null && most > logs[0]!) {
    const batch = [at('batch', logs[0]!), at('batch', most)]
    const fall = batch[0] && batch[1] ? `; batch keeps ${shareText(batch[1], batch[0])}` : ''
    said.push(
      `From ${logsText(logs[0]!)} to ${most.toLocaleString('en-US')}, the journal keeps ${shareText(last, first)} of its throughput${fall}.`,
    )
  }
  said.push(...crossoverSentences(crossovers(result)))
  const short = result.cells.filter(
    ({ policy, recycles }) => policy === 'journal' && recycles !== null && recycles < 10,
  )
  if (short.length > 0) {
    said.push(
      `In ${short.length} of ${result.cells.filter(({ policy }) => policy === 'journal').length} durable figures the journal was used again fewer than ten times: they are an impression, not a measurement over a long time${result.form === 'quick' ? ' (leave out --quick)' : ''}.`,
    )
  }
  said.push(...leftOut(result, logs))
  return said
}

/** What was left out for want of time. */
function leftOut({ options, load, cells }: FlushResult, logs: readonly number[]): string[] {
  const left = options.logs.flatMap((count) => {
    if (!logs.includes(count)) return [logsText(count)]
    const missing = options.policies.filter(
      (policy) => !cells.some((cell) => cell.logs === count && cell.policy === policy),
    )
    return missing.length === 0 ? [] : [`${listText(missing)} with ${logsText(count)}`]
  })
  if (load.length === 0 && options.loadPolicies.length > 0) left.push('latency against load')
  if (left.length === 0) return []
  return [`Left out, since the time was over: ${left.join('; ')}. Without --quick they are measured.`]
}

const names: Readonly<Record<'none' | 'floor' | 'batch' | 'append', string>> = {
  none: 'as much as no sync at all',
  floor: 'as much as bare system calls',
  batch: 'as much as a sync of each file',
  append: 'as much as a sync for each append',
}

function crossoverSentences(all: readonly Crossover[]): string[] {
  // One size says nothing of where they meet.
  const shown = all.filter(({ ratios }) => ratios.length > 1)
  const said = shown.filter(({ batchAhead }) => batchAhead.length > 0).map(batchAheadSentence)
  const even = shown.filter(({ batchAhead }) => batchAhead.length === 0)
  if (even.length > 0) {
    const largest = Math.max(...even.flatMap(({ ratios }) => ratios.map(({ sizeBytes }) => sizeBytes)))
    const counts = listText(even.map(({ logs }) => logsText(logs)))
    said.push(
      `At ${counts}, batch was not ahead of the journal by more than 5 % at any size up to ${sizeText(largest)}.`,
    )
  }
  return said
}

function batchAheadSentence({ logs, ratios, batchAhead }: Crossover): string {
  const times = ({ sizeBytes, ratio }: Ratio): string =>
    `${timesText(1 / ratio)} as much at ${sizeText(sizeBytes)}`
  const twice = 'it writes every byte twice, and batch acknowledges'
  // The sizes may lie apart: only those up to the largest are "or more".
  const isToTheEnd = ratios.indexOf(batchAhead[0]!) === ratios.length - batchAhead.length
  return isToTheEnd
    ? `The journal stops paying at ${logsText(logs)} and appends of ${sizeText(batchAhead[0]!.sizeBytes)} or more: ${twice} ${times(ratios.at(-1)!)}. Use flush: 'batch' there.`
    : `The journal does not pay at ${logsText(logs)} and appends of ${listText(batchAhead.map(({ sizeBytes }) => sizeText(sizeBytes)))}: ${twice} ${listText(batchAhead.map(times))}. At the other sizes up to ${sizeText(ratios.at(-1)!.sizeBytes)} batch was not ahead by more than 5 %.`
}

/** How many rounds there really were: `1 round`, `2 to 3 rounds`. */
export function roundsText({ cells }: FlushResult): string {
  const counts = cells.filter(({ policy }) => policy !== 'floor').map(({ rounds }) => rounds)
  const [least, most] = [Math.min(...counts), Math.max(...counts)]
  if (most === 1) return '1 round'
  return least === most ? `${most} rounds` : `${least} to ${most} rounds`
}

/** `1 log`, `10,000 logs`. */
export function logsText(count: number): string {
  return count === 1 ? '1 log' : `${count.toLocaleString('en-US')} logs`
}

/** `4 KiB`, `1,000 bytes`, `1 MiB`. */
export function sizeText(bytes: number): string {
  if (bytes >= 1 << 20 && bytes % (1 << 20) === 0) return `${bytes >> 20} MiB`
  if (bytes >= 1024 && bytes % 1024 === 0) return `${bytes >> 10} KiB`
  if (bytes >= 1e6 && bytes % 1e6 === 0) return `${bytes / 1e6} MB`
  return `${bytes.toLocaleString('en-US')} bytes`
}

/** `312 MB/s`, `4.2 MB/s`. */
export function megabytesText(value: number): string {
  return `${figure(value)} MB/s`
}

/** `0.8 ms`, `12 ms`, `450 µs`, `1.4 s`; a dash when nothing was acknowledged in time. */
export function latencyText(us: number): string {
  if (us === 0) return '-'
  if (us < 1000) return `${Math.round(us)} µs`
  if (us < 1e6) return `${figure(us / 1000)} ms`
  return `${figure(us / 1e6)} s`
}

/** A number in three figures at most. */
export function figure(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en-US')
  if (value >= 10) return value.toFixed(0)
  return value.toFixed(value >= 1 ? 1 : 2)
}

function timesText(ratio: number): string {
  if (ratio >= 0.95 && ratio <= 1.05) return 'about'
  return `${ratio >= 10 ? Math.round(ratio) : ratio.toFixed(ratio < 1 ? 2 : 1)} times`
}

function shareText(part: Cell, whole: Cell): string {
  const share = (part.megabytesPerSecond / whole.megabytesPerSecond) * 100
  return `${share < 1 ? share.toFixed(1) : Math.round(share)} %`
}

function listText(parts: readonly string[]): string {
  return parts.length < 2 ? (parts[0] ?? '') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`
}
