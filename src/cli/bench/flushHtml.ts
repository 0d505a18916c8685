import { bytesText, durationText } from '../units.ts'
import { survives } from './flushOptions.ts'
import { htmlPage } from './flushPage.ts'
import type { Cell, FlushResult, Measured } from './flushResult.ts'
import {
  cellFor,
  crossovers,
  figure,
  findings,
  latencyText,
  logsText,
  mainPlace,
  measuredLogs,
  megabytesText,
  roundsText,
  sizeText,
} from './flushSummary.ts'
import { barChart, escapeHtml, linePlot, type Series } from './plot.ts'

const durable: readonly Measured[] = ['journal', 'batch', 'append']

/** The report as one HTML file that loads nothing: plots, what they say, and every figure. */
export function htmlReport(result: FlushResult): string {
  const { machine, options } = result
  const where = `${machine.cpu}, ${machine.cores} cores, ${bytesText(machine.memoryBytes)} of memory; ${machine.system}, Node ${machine.node}; ${machine.fileSystem}`
  const body = [
    '<h1>What durable appends cost on this disk</h1>',
    `<p class="lead">${escapeHtml(`cordwood bench flush${result.form === 'quick' ? ' --quick' : ''}, ${result.when}. ${where}.`)}</p>`,
    tiles(result),
    `<section class="wide"><h2>What the figures say</h2><ul class="said">${findings(result)
      .map((text) => `<li>${escapeHtml(text)}</li>`)
      .join('')}</ul></section><p></p>`,
    '<div class="plots">',
    throughputPlot(result),
    latencyPlot(result),
    crossoverPlot(result),
    writtenChart(result),
    survivalTable(result),
    '</div>',
    figures(result),
    `<p class="note" style="margin-top:22px">${escapeHtml(
      `Medians of ${roundsText(result)} of ${options.seconds} s, policies in turn in every round; each begins when everything before it is on the disk. The journal has ${sizeText(options.journalBytes)} here and was filled once before. Bare system calls: groups of as many appends as there are writers, written to a journal of zeros that is used again and to one file for each log, with one fdatasync for a group, by ${result.implementation === 'native' ? 'a native thread without any engine' : 'the addon'}. All in ${durationText(result.seconds)}. cordwood ${result.cordwood}, ${result.implementation} disk.`,
    )}</p>`,
  ].join('\n')
  return htmlPage('What durable appends cost: cordwood bench flush', body)
}

function tiles(result: FlushResult): string {
  const { sizeBytes, writers } = mainPlace(result)
  const most = measuredLogs(result).at(-1)!
  const at = (policy: Measured): Cell | null => cellFor(result.cells, policy, most, sizeBytes, writers)
  const journal = at('journal')
  if (journal === null) return ''
  const beside = (policy: Measured, what: string): string => {
    const other = at(policy)
    if (other === null || other.megabytesPerSecond === 0) return ''
    const ratio = journal.megabytesPerSecond / other.megabytesPerSecond
    const text = ratio >= 2 ? `${figure(ratio)} ×` : `${Math.round(ratio * 100)} %`
    return `<div class="tile"><b>${text}</b><span>${escapeHtml(what)}</span></div>`
  }
  const count = logsText(most)
  return [
    '<div class="tiles">',
    `<div class="tile main"><b>${megabytesText(journal.megabytesPerSecond)}</b><span>acknowledged by the journal, durable, over ${count}</span></div>`,
    beside('floor', `of bare system calls, over ${count}`),
    beside('none', `of not syncing at all, over ${count}`),
    beside('batch', `what a sync of each file gives, over ${count}`),
    `<div class="tile"><b>${latencyText(journal.p99Us)}</b><span>p99 of a durable append at full load, over ${count}</span></div>`,
    '</div>',
  ].join('')
}

function throughputPlot(result: FlushResult): string {
  const { sizeBytes, writers } = mainPlace(result)
  const names: Measured[] = ['floor', ...result.options.policies]
  const series = names.flatMap((policy): Series[] => {
    const points = result.options.logs.flatMap((logs) => {
      const cell = cellFor(result.cells, policy, logs, sizeBytes, writers)
      if (cell === null || cell.megabytesPerSecond <= 0) return []
      const title = `${nameOf(policy)}, ${logsText(logs)}: ${megabytesText(cell.megabytesPerSecond)} (${figure(cell.range[0])} to ${figure(cell.range[1])}), p99 ${latencyText(cell.p99Us)}`
      return [{ x: logs, y: cell.megabytesPerSecond, title }]
    })
    return points.length === 0 ? [] : [seriesOf(policy, points)]
  })
  const svg = linePlot({
    summary: 'Throughput of each flush policy against the number of logs; all figures are in the table below',
    x: {
      label: 'number of logs',
      scale: 'log',
      ticks: result.options.logs,
      text: (value) => value.toLocaleString('en-US'),
    },
    y: { label: 'MB/s acknowledged', scale: 'log', text: figure },
    series,
  })
  const caption = `Appends of ${sizeText(sizeBytes)}, ${writers} at a time, to logs at random. Higher is better. Solid lines survive the loss of power.`
  return section('Throughput against number of logs', svg, series, caption)
}

function latencyPlot(result: FlushResult): string {
  const { writers } = mainPlace(result)
  const names = [...new Set(result.load.map(({ policy }) => policy))]
  const series = names.map((policy) =>
    seriesOf(
      policy,
      result.load
        .filter((point) => point.policy === policy && point.p99Us > 0)
        .map((point) => ({
          x: point.offeredMegabytesPerSecond,
          y: point.p99Us / 1000,
          title: `${nameOf(policy)} at ${Math.round(point.share * 100)} % of ${policy === 'floor' ? "the journal's" : 'its'} greatest load, ${megabytesText(point.offeredMegabytesPerSecond)}: p50 ${latencyText(point.p50Us)}, p99 ${latencyText(point.p99Us)}`,
        })),
    ),
  )
  if (series.every(({ points }) => points.length === 0)) return ''
  const svg = linePlot({
    summary: 'p99 latency of each flush policy against the load; all figures are in the table below',
    x: { label: 'load, MB/s', scale: 'log', text: figure },
    y: { label: 'p99 of an append, ms', scale: 'log', text: figure },
    series,
  })
  const caption = `${logsText(result.options.loadLogs)}. ${writers} appends at a time begin at a fixed rate, whether or not earlier ones have ended, and count from when they were due. Lower and further right is better.`
  return section('Latency against load', svg, series, caption)
}

function crossoverPlot(result: FlushResult): string {
  const all = crossovers(result).filter(({ ratios }) => ratios.length > 1)
  if (all.length === 0) return ''
  const series = all.map(({ logs, ratios }, index): Series => {
    const points = ratios.map(({ sizeBytes, ratio }) => ({
      x: sizeBytes,
      y: ratio,
      title: `${logsText(logs)}, ${sizeText(sizeBytes)}: the journal acknowledges ${figure(ratio)} times what batch does`,
    }))
    const className = ['batch', 'journal', 'records', 'none', 'append'][index % 5]!
    return { name: logsText(logs), className, dashed: false, bold: index === 0, points }
  })
  const svg = linePlot({
    summary: 'How many times as much the journal acknowledges as batch, against the size of an append',
    x: {
      label: 'size of an append',
      scale: 'log',
      ticks: [...new Set(all.flatMap(({ ratios }) => ratios.map(({ sizeBytes }) => sizeBytes)))],
      text: (bytes) => (bytes >= 1e6 ? '1 MB' : bytes >= 1024 ? `${bytes >> 10}K` : String(bytes)),
    },
    y: { label: 'journal ÷ batch, throughput', scale: 'log', text: figure },
    series,
    level: { y: 1, label: 'below: the journal does not pay' },
  })
  const caption =
    'With few logs there is little to share, and the journal writes every byte twice: below the line, batch is the better choice.'
  return section('Where the journal stops paying', svg, series, caption)
}

function writtenChart(result: FlushResult): string {
  const { sizeBytes, writers } = mainPlace(result)
  const { logs } = result.options
  const count = logs.includes(1000) ? 1000 : logs.at(-1)!
  const bars = result.options.policies.flatMap((policy) => {
    const value = cellFor(result.cells, policy, count, sizeBytes, writers)?.writtenPerByte ?? null
    return value === null ? [] : [{ name: policy, className: policy, value, text: figure(value) }]
  })
  if (bars.length === 0) return ''
  const svg = barChart('Bytes written to storage for each byte acknowledged', bars)
  const caption = `${logsText(count)}, appends of ${sizeText(sizeBytes)}; counted at the disk, until everything was there. A page that is synced half full is written again when it is full.`
  return section('Bytes written for each byte acknowledged', svg, [], caption)
}

function survivalTable({ options }: FlushResult): string {
  const rows = options.policies.map((policy) => {
    const { setting, kill, power } = survives[policy]
    const sure = power === 'nothing lost' ? 'yes' : 'part'
    return `<tr><td class="${policy}"><b>${policy}</b></td><td><code>${escapeHtml(setting)}</code></td><td class="yes">${escapeHtml(kill)}</td><td class="${sure}">${escapeHtml(power)}</td></tr>`
  })
  const head = '<tr><th>policy</th><th>as measured</th><th>process killed</th><th>power lost</th></tr>'
  return `<section class="wide"><h2>What an acknowledged append survives</h2><div class="scroll"><table><thead>${head}</thead><tbody>${rows.join('')}</tbody></table></div></section>`
}

function figures(result: FlushResult): string {
  const head = [
    'policy',
    'logs',
    'append',
    'writers',
    'MB/s',
    'slowest to fastest',
    'appends/s',
    'p50',
    'p99',
    'longest',
    'written/acked',
    'CPU/append',
    'journal used again',
  ]
  const rows = [...result.cells, ...result.crossover].map((cell) => {
    const numbers = [
      cell.logs.toLocaleString('en-US'),
      sizeText(cell.sizeBytes),
      String(cell.writers),
      figure(cell.megabytesPerSecond),
      `${figure(cell.range[0])} to ${figure(cell.range[1])}`,
      cell.appendsPerSecond.toLocaleString('en-US'),
      latencyText(cell.p50Us),
      latencyText(cell.p99Us),
      latencyText(cell.maxUs),
      cell.writtenPerByte === null ? '–' : figure(cell.writtenPerByte),
      cell.cpuUsPerAppend === null ? '–' : `${figure(cell.cpuUsPerAppend)} µs`,
      cell.recycles === null ? '–' : `${figure(cell.recycles)} times`,
    ]
    const name = `<td class="${cell.policy}">${escapeHtml(nameOf(cell.policy))}</td>`
    return `<tr>${name}${numbers.map((text) => `<td class="n">${escapeHtml(text)}</td>`).join('')}</tr>`
  })
  const titles = head.map((text, index) => `<th${index === 0 ? '' : ' class="n"'}>${text}</th>`).join('')
  return `<details><summary>Every figure</summary><div class="scroll"><table><thead><tr>${titles}</tr></thead><tbody>${rows.join('')}</tbody></table></div></details>`
}

function seriesOf(policy: Measured, points: Series['points']): Series {
  return {
    name: nameOf(policy),
    className: policy,
    dashed: !durable.includes(policy),
    bold: policy === 'journal',
    points,
  }
}

function nameOf(policy: Measured): string {
  return policy === 'floor' ? 'bare system calls' : policy
}

function section(title: string, svg: string, series: readonly Series[], caption: string): string {
  const legend = series
    .map(
      ({ name, className, dashed }) =>
        `<li class="${className}${dashed ? ' dashed' : ''}"><i></i><em>${escapeHtml(name)}</em></li>`,
    )
    .join('')
  const list = legend === '' ? '' : `<ul class="legend">${legend}</ul>`
  return `<section><figure><h2>${escapeHtml(title)}</h2>${list}${svg}<figcaption>${escapeHtml(caption)}</figcaption></figure></section>`
}
