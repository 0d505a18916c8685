import { escapeHtml } from '../../src/cli/bench/plot.ts'
import { type Repaired, repairsText } from './repair.ts'

/** One fault of a run, and how it went on. */
export interface Episode {
  readonly fault: string
  readonly detail: string
  /** Milliseconds since the start. */
  readonly beganMs: number
  readonly endedMs: number
  /** From the end of the fault until every partition has acknowledged something again. */
  readonly recoveredAfterMs: number
  /** Longest time without any acknowledgement between the beginning and the recovery. */
  readonly longestGapMs: number
}

/** What a run has found. */
export interface Report {
  readonly seed: number
  readonly nodes: number
  readonly seconds: number
  readonly acknowledged: number
  readonly inDoubt: number
  readonly readByConsumer: number
  readonly stored: number
  readonly episodes: readonly Episode[]
  /** Every place on a disk that was damaged. */
  readonly damages: readonly Repaired[]
  readonly problems: readonly string[]
  /** Acknowledged batches in each second of the run. */
  readonly perSecond: readonly number[]
}

/** A page that needs nothing else: what was done, when, and what clients felt of it. */
export function page(report: Report): string {
  const { seed, nodes, seconds, acknowledged, inDoubt, stored, episodes, problems, perSecond } = report
  const width = 1000
  const height = 200
  const most = Math.max(1, ...perSecond)
  const x = (ms: number): string => ((ms / 1000 / Math.max(1, seconds)) * width).toFixed(1)
  const bars = perSecond
    .map((count, second) => {
      const barHeight = (count / most) * (height - 20)
      const barWidth = Math.max(0.5, width / Math.max(1, seconds) - 0.5).toFixed(1)
      return `<rect x="${x(second * 1000)}" y="${(height - barHeight).toFixed(1)}" width="${barWidth}" height="${barHeight.toFixed(1)}" class="acks"/>`
    })
    .join('')
  const bands = episodes
    .map(({ fault, detail, beganMs, endedMs }) => {
      const bandWidth = (Number(x(endedMs)) - Number(x(beganMs))).toFixed(1)
      return `<rect x="${x(beganMs)}" y="0" width="${bandWidth}" height="${height}" class="fault"><title>${escapeHtml(`${fault}: ${detail}`)}</title></rect>`
    })
    .join('')
  const rows = episodes
    .map(({ fault, detail, beganMs, endedMs, recoveredAfterMs, longestGapMs }) => {
      const cells = [
        (beganMs / 1000).toFixed(1),
        fault,
        detail,
        `${endedMs - beganMs}`,
        `${recoveredAfterMs}`,
        `${longestGapMs}`,
      ]
      return `<tr>${cells.map((cell) => `<td>${escapeHtml(cell)}</td>`).join('')}</tr>`
    })
    .join('\n')
  const verdict =
    problems.length === 0
      ? `<p class="good">Every acknowledged record is there once, at its offset, in order; nothing was invented.</p>`
      : `<ul class="bad">${problems.map((problem) => `<li>${escapeHtml(problem)}</li>`).join('')}</ul>`
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>cordwood: chaos</title>
<style>
body { font: 14px/1.4 system-ui, sans-serif; max-width: 1040px; margin: 2em auto; color: #222 }
table { border-collapse: collapse } td, th { padding: .2em .8em; text-align: left; border-bottom: 1px solid #ddd }
.acks { fill: #3b7a57 } .fault { fill: #d9534f; opacity: .22 } .good { color: #3b7a57 } .bad { color: #b52b27 }
</style>
<h1>Chaos with real processes</h1>
<p>${nodes} brokers, ${seconds} s, seed ${seed}: ${acknowledged} records acknowledged, ${inDoubt} batches in doubt, ${stored} stored.</p>
${verdict}
${report.damages.length === 0 ? '' : `<p>${escapeHtml(repairsText(report.damages))}</p>`}
<h2>Acknowledged batches a second; faults in red</h2>
<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">${bands}${bars}</svg>
<h2>Faults</h2>
<table><tr><th>at s</th><th>fault</th><th>what</th><th>ms long</th><th>all partitions again after ms</th><th>longest gap ms</th></tr>
${rows}
</table></html>
`
}
