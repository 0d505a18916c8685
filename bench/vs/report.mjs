// Turns the recorded figures into Markdown and a plot: medians, spread, ratios; losses are shown like everything else.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { plot } from './plot.mjs'

/** Goals of the project, as ratios cordwood / Kafka or as figures of cordwood alone. */
const goals = {
  throughput: { atLeast: 1 },
  cpu: { atMost: 0.5 },
}

/** The value below which `share` of the sorted numbers lie. */
function quantile(sorted, share) {
  const at = share * (sorted.length - 1)
  const low = Math.floor(at)
  const high = Math.min(low + 1, sorted.length - 1)
  return sorted[low] + (sorted[high] - sorted[low]) * (at - low)
}

/** Median, p10 and p90 of a metric of one case on one system; null when nothing was recorded. */
function spread(runs, name, system, metric) {
  const values = runs
    .filter((run) => run.name === name && run.system === system && Number.isFinite(run[metric]))
    .map((run) => run[metric])
    .sort((a, b) => a - b)
  if (values.length === 0) return null
  return {
    median: quantile(values, 0.5),
    p10: quantile(values, 0.1),
    p90: quantile(values, 0.9),
    rounds: values.length,
  }
}

function digits(value) {
  if (value === 0) return '0'
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en-GB').replaceAll(',', ' ')
  return value.toPrecision(3).replace(/\.?0+$/, (zeros) => (zeros.includes('.') ? '' : zeros))
}

const shown = (of) => (of === null ? '–' : `${digits(of.median)} (${digits(of.p10)}–${digits(of.p90)})`)

/**
 * One line of a table: cordwood's figure beside Kafka's. `atLeast` and `atMost` bound the ratio of the medians, `limit`
 * cordwood's own figure. A goal is met or missed only when the spreads do not overlap the bound.
 */
export function compare(runs, { label, name, metric, atLeast, atMost, limit }) {
  const ours = spread(runs, name, 'cordwood', metric)
  const theirs = spread(runs, name, 'kafka', metric)
  if (ours === null && theirs === null) return null
  const ratio = ours === null || theirs === null ? null : ours.median / theirs.median
  let goal = ''
  let verdict = ''
  const rounds = Math.min(ours?.rounds ?? 0, theirs?.rounds ?? 0)
  const judge = rounds < fewestRounds ? judgeByMedian : judgeBySpread
  if (limit !== undefined && ours !== null) {
    goal = `≤ ${limit}`
    verdict = judge(ours.p90 <= limit, ours.p10 > limit, ours.median <= limit)
  } else if (ratio !== null && atLeast !== undefined) {
    goal = `≥ ${atLeast} ×`
    verdict = judge(ours.p10 >= atLeast * theirs.p90, ours.p90 < atLeast * theirs.p10, ratio >= atLeast)
  } else if (ratio !== null && atMost !== undefined) {
    goal = `≤ ${atMost} ×`
    verdict = judge(ours.p90 <= atMost * theirs.p10, ours.p10 > atMost * theirs.p90, ratio <= atMost)
  }
  return { label, ours, theirs, ratio, goal, verdict, rounds, isHigherBetter: atLeast !== undefined }
}

/** Rounds from which on a spread says something. */
const fewestRounds = 5

function judgeBySpread(isClear, isClearlyMissed, isMedianMet) {
  if (isClear) return 'met'
  if (isClearlyMissed) return 'missed'
  return `${judgeByMedian(isClear, isClearlyMissed, isMedianMet)}, spreads overlap`
}

function judgeByMedian(_isClear, _isClearlyMissed, isMedianMet) {
  return isMedianMet ? 'met by the median' : 'missed by the median'
}

function table(title, unit, rows) {
  const lines = rows.filter((row) => row !== null)
  if (lines.length === 0) return ''
  const head = `| ${unit} | cordwood | Kafka | ratio | goal | | rounds |\n|---|---|---|---|---|---|---|`
  const body = lines.map(
    ({ label, ours, theirs, ratio, goal, verdict, rounds }) =>
      `| ${label} | ${shown(ours)} | ${shown(theirs)} | ${ratio === null ? '–' : `**${ratio.toFixed(2)}**`} | ${goal} | ${verdict} | ${rounds} |`,
  )
  return `## ${title}\n\n${[head, ...body].join('\n')}\n`
}

const sizes = { 100: '100 B', 1024: '1 KiB', 10240: '10 KiB' }
const clients = { kgo: 'franz-go', java: "Kafka's own tools" }

const partitionSteps = [
  { step: 'produce', client: 'franz-go' },
  { step: 'consume', client: 'franz-go' },
  { step: 'java-produce', client: "Kafka's own tools" },
]

/** Rows for every client, step and record size of a policy. */
function loadRows(runs, policy, metric, bound) {
  const rows = []
  for (const step of ['produce', 'consume']) {
    for (const [client, clientName] of Object.entries(clients)) {
      for (const [size, sizeName] of Object.entries(sizes)) {
        const label = `${step} ${sizeName}, ${clientName}`
        rows.push(compare(runs, { label, name: `${policy}/${client}/${size}B/${step}`, metric, ...bound }))
      }
    }
  }
  for (const { step, client } of partitionSteps.filter(({ step }) => step !== 'consume')) {
    for (const partitions of [1, 1000]) {
      const label = `produce 1 KiB, acks=1, ${partitions === 1 ? 'one partition' : '1,000 partitions'}, ${client}`
      rows.push(
        compare(runs, { label, name: `${policy}/partitions/${partitions}/${step}`, metric, ...bound }),
      )
    }
  }
  return rows
}

/** How much of one partition's throughput a thousand keep, for each system. */
function partitionRatios(runs) {
  const lines = []
  for (const policy of ['none', 'batch']) {
    for (const { step, client } of partitionSteps) {
      const cells = ['cordwood', 'kafka'].map((system) => {
        const [one, many] = [1, 1000].map((n) =>
          spread(runs, `${policy}/partitions/${n}/${step}`, system, 'mibPerSecond'),
        )
        return one === null || many === null ? '–' : `${(many.median / one.median).toFixed(2)} ×`
      })
      const goal = policy === 'none' ? '≥ 0.8 ×' : ''
      const label = `${step.replace('java-', '')}, policy ${policy}, ${client}`
      if (cells.some((cell) => cell !== '–')) lines.push(`| ${label} | ${cells.join(' | ')} | ${goal} |`)
    }
  }
  if (lines.length === 0) return ''
  const head = '| 1,000 partitions / one partition | cordwood | Kafka | goal |\n|---|---|---|---|'
  return `## A thousand partitions

franz-go deals records out one by one, and needs four times the CPU of one partition for it; Java's client fills a batch
of one partition after the other.

${[head, ...lines].join('\n')}
`
}

/** Writes vs-kafka.md and vs-kafka.svg; returns the Markdown. */
export function writeReport({ machine, runs }, directory) {
  const memory = (label, name, limit) => compare(runs, { label, name, metric: 'ownMib', limit })
  const resident = (label, name) => compare(runs, { label, name, metric: 'residentMib' })
  const others = runs
    .map((run) => run.otherCpuPercent)
    .filter(Number.isFinite)
    .sort((a, b) => a - b)
  const noise =
    others.length === 0
      ? 'unknown'
      : `${quantile(others, 0.5).toFixed(0)} % (p90 ${quantile(others, 0.9).toFixed(0)} %)`
  const throughput = Object.fromEntries(
    ['none', 'batch'].map((policy) => [policy, loadRows(runs, policy, 'mibPerSecond', goals.throughput)]),
  )
  const start = [
    compare(runs, { label: 'listening after start, ms', name: 'start/listening', metric: 'ms', limit: 250 }),
    memory('memory, idle, MiB', 'start/idle-memory', 90),
    resident('the same with mapped files (VmRSS), MiB', 'start/idle-memory'),
    memory('memory after the load, policy none, MiB', 'none/memory-after-load', 200),
    resident('the same with mapped files (VmRSS), MiB', 'none/memory-after-load'),
    memory('memory after the load, policy batch, MiB', 'batch/memory-after-load', 200),
  ]
  const text = `# cordwood beside Apache Kafka ${machine.kafka}

Made by \`npm run bench -- --vs-kafka\` on ${machine.date}; the raw figures are in vs-kafka.json. Both servers and their clients
share this machine and take turns, one at a time under load: ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGib} GiB,
${machine.kernel}, ${machine.fileSystem}, Node ${machine.node}, ${machine.java}. Each figure is a median (p10–p90); the ratio is
cordwood / Kafka. Client and server share the cores, so a fast server leaves more to its client, and less than a
quarter is no difference. Each session begins with a load that is not counted. Share of the machine that neither of them used during a run: ${noise}.

![ratios](vs-kafka.svg)

${[
  table('Start and memory', 'memory: RssAnon + RssShmem', start),
  table(
    "Policy none beside Kafka's defaults (nothing is synced before it is acknowledged)",
    'MiB/s',
    throughput.none,
  ),
  table(
    'Policy batch beside Kafka with flush.messages=1 (on the disk before it is acknowledged)',
    'MiB/s',
    throughput.batch,
  ),
  partitionRatios(runs),
  table(
    'CPU seconds of the server per GiB, policy none',
    'CPU s/GiB',
    loadRows(runs, 'none', 'cpuSecondsPerGib', goals.cpu),
  ),
  table(
    'CPU seconds of the server per GiB, policy batch',
    'CPU s/GiB',
    loadRows(runs, 'batch', 'cpuSecondsPerGib', {}),
  ),
]
  .filter((part) => part !== '')
  .join('\n')}
Kafka also formats its data directory before the first start (${shown(spread(runs, 'start/listening', 'kafka', 'formatMs'))} ms, not counted above).
`
  writeFileSync(join(directory, 'vs-kafka.md'), text)
  writeFileSync(join(directory, 'vs-kafka.svg'), plot(throughput))
  return text
}
