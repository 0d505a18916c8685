// Turns the figures of durable.mjs into Markdown: medians, spreads, and each ratio that the project set itself.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

const names = {
  journal: 'cordwood `journal`',
  none: 'cordwood `none`',
  kafka: "Kafka's defaults",
  'kafka-flush': 'Kafka `flush.messages=1`',
}

/** Case, metric, our system, the other, at least or at most this ratio. */
const goals = [
  ...['1', '100', '1000'].flatMap((partitions) => [
    [`partitions/${partitions}/produce`, 'recordsPerSecond', 'journal', 'kafka', '≥', 1],
    [`partitions/${partitions}/produce`, 'recordsPerSecond', 'journal', 'none', '≥', 0.8],
  ]),
  ['partitions/100/produce', 'recordsPerSecond', 'journal', 'kafka-flush', '≥', 4],
  ['partitions/1000/produce', 'recordsPerSecond', 'journal', 'kafka-flush', '≥', 12],
  ...['1024', '10240'].flatMap((size) =>
    ['produce', 'consume'].flatMap((step) => [
      [`one/${size}B/${step}`, 'recordsPerSecond', 'journal', 'kafka', '≥', 1.3],
      [`one/${size}B/${step}`, 'cpuSecondsPerGib', 'journal', 'kafka', '≤', 0.33],
    ]),
  ),
]

function values(runs, name, system, metric) {
  return runs
    .filter((run) => run.name === name && run.system === system && Number.isFinite(run[metric]))
    .map((run) => run[metric])
    .sort((left, right) => left - right)
}

const median = (sorted) => (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2

const shown = (value) =>
  value >= 1000
    ? Math.round(value).toLocaleString('en-GB').replaceAll(',', ' ')
    : Number(value.toPrecision(3)).toString()

function cell(runs, name, system, metric) {
  const all = values(runs, name, system, metric)
  return all.length === 0 ? '–' : `${shown(median(all))} (${shown(all[0])}–${shown(all.at(-1))})`
}

function table(runs, metric) {
  const systems = Object.keys(names)
  const head = `| | ${systems.map((system) => names[system]).join(' | ')} |\n|---|${'---|'.repeat(systems.length)}`
  const cases = [...new Set(runs.map(({ name }) => name))].sort((a, b) =>
    a.localeCompare(b, 'en', { numeric: true }),
  )
  const lines = cases.map(
    (name) => `| ${name} | ${systems.map((system) => cell(runs, name, system, metric)).join(' | ')} |`,
  )
  return `${head}\n${lines.join('\n')}`
}

/** Writes durable.md; returns its text. */
export function writeDurableReport({ machine, journalMib, runs }, directory) {
  const load = Object.entries(names).map(([system, name]) => {
    const all = runs.filter((run) => run.system === system)
    const others = all.map(({ otherCpuPercent }) => otherCpuPercent).sort((left, right) => left - right)
    return all.length === 0 ? `${name} –` : `${name} ${shown(median(others))} %`
  })
  const judged = goals.map(([name, metric, ours, theirs, relation, bound]) => {
    const [left, right] = [values(runs, name, ours, metric), values(runs, name, theirs, metric)]
    if (left.length === 0 || right.length === 0) return null
    const ratio = median(left) / median(right)
    const isMet = relation === '≥' ? ratio >= bound : ratio <= bound
    const what = metric === 'recordsPerSecond' ? 'records/s' : 'CPU s/GiB'
    return `| ${name}, ${what} | ${names[ours]} / ${names[theirs]} | **${ratio.toFixed(2)}** | ${relation} ${bound} | ${isMet ? 'met' : 'missed'} |`
  })
  const text = `# What a synced answer costs

Made by \`npm run bench -- --durable\` on ${machine.date}; raw figures in durable.json. ${machine.cpu}, ${machine.cores} cores,
${machine.memoryGib} GiB, ${machine.kernel}, ${machine.fileSystem}, Node ${machine.node}, Kafka ${machine.kafka}. The client is franz-go (kgo-bench); it shares the machine. The journal is
${journalMib} MiB, so that each of its figures is taken over at least ten rounds through it. Medians (lowest–highest).
Processor time that other programs took meanwhile, median: ${load.join(', ')}. Where that differs much the ratios mean little.

| case | systems | ratio | goal | |
|---|---|---|---|---|
${judged.filter((line) => line !== null).join('\n')}

## Records per second

${table(runs, 'recordsPerSecond')}

## CPU seconds of the server per GiB

${table(runs, 'cpuSecondsPerGib')}

## p99 of an acknowledged record under this load, ms

${table(
  runs.filter((run) => run.p99Ms !== undefined),
  'p99Ms',
)}
`
  writeFileSync(join(directory, 'durable.md'), text)
  return text
}
