import { table } from '../table.ts'
import { survives } from './flushOptions.ts'
import type { Cell, FlushResult } from './flushResult.ts'
import { figure, findings, latencyText, logsText, roundsText, sizeText } from './flushSummary.ts'

const header = [
  'policy',
  'MB/s',
  'appends/s',
  'p50',
  'p99',
  'written/acked',
  'CPU/append',
  'after power loss',
] as const

function row(cell: Cell): string[] {
  const { policy, writtenPerByte, cpuUsPerAppend } = cell
  return [
    policy === 'floor' ? 'bare system calls' : policy,
    figure(cell.megabytesPerSecond),
    cell.appendsPerSecond.toLocaleString('en-US'),
    latencyText(cell.p50Us),
    latencyText(cell.p99Us),
    writtenPerByte === null ? '-' : figure(writtenPerByte),
    cpuUsPerAppend === null ? '-' : `${figure(cpuUsPerAppend)} µs`,
    policy === 'floor' ? '-' : survives[policy].power,
  ]
}

/** Cells of one number of logs, by size and writers: `[title, rows]`. */
function groups(cells: readonly Cell[]): [string, string[][]][] {
  const byTitle = new Map<string, string[][]>()
  for (const cell of cells) {
    const writers = `${cell.writers} ${cell.writers === 1 ? 'writer' : 'writers'}`
    const title = `${logsText(cell.logs)}, appends of ${sizeText(cell.sizeBytes)}, ${writers}`
    byTitle.set(title, [...(byTitle.get(title) ?? []), row(cell)])
  }
  return [...byTitle]
}

/** Tables for a terminal. */
export function terminalTables(cells: readonly Cell[]): string {
  return groups(cells)
    .map(([title, rows]) => `\n${title}\n\n${indented(table(header, rows))}`)
    .join('')
}

function indented(text: string): string {
  return `${text.trimEnd().replace(/^/gm, '  ')}\n`
}

/** The whole result as Markdown. */
export function markdownReport(result: FlushResult): string {
  const { machine, options } = result
  const rounds = `${roundsText(result)} of ${options.seconds} s each, interleaved; medians. Journal of ${sizeText(options.journalBytes)}.`
  const lines = [
    '# What each flush policy costs',
    '',
    `\`cordwood bench flush${result.form === 'quick' ? ' --quick' : ''}\`, ${result.when}: ${machine.cpu}, ${machine.cores} cores, ${machine.system}, Node ${machine.node}, ${machine.fileSystem}. ${rounds}`,
    '',
    ...findings(result).map((text) => `- ${text}`),
    '',
  ]
  for (const [title, rows] of groups(result.cells)) {
    lines.push(`## ${title}`, '', ...markdownTable(header, rows), '')
  }
  if (result.crossover.length > 0) {
    lines.push('## Journal and batch with few logs and growing appends', '')
    const rows = result.crossover.map((cell) => [
      cell.policy,
      String(cell.logs),
      sizeText(cell.sizeBytes),
      figure(cell.megabytesPerSecond),
      latencyText(cell.p99Us),
      cell.writtenPerByte === null ? '-' : figure(cell.writtenPerByte),
    ])
    lines.push(...markdownTable(['policy', 'logs', 'append', 'MB/s', 'p99', 'written/acked'], rows), '')
  }
  if (result.load.length > 0) {
    lines.push(`## Latency against load, ${logsText(options.loadLogs)}`, '')
    const rows = result.load.map((point) => [
      point.policy,
      `${Math.round(point.share * 100)} %`,
      figure(point.offeredMegabytesPerSecond),
      figure(point.megabytesPerSecond),
      latencyText(point.p50Us),
      latencyText(point.p99Us),
    ])
    lines.push(...markdownTable(['policy', 'load', 'offered MB/s', 'MB/s', 'p50', 'p99'], rows), '')
  }
  return `${lines.join('\n').trimEnd()}\n`
}

function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)]
}
