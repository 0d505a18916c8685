// Puts the figures that a newcomer asks for first into README.md, losses included; the rest is in vs-kafka.md.
import { readFileSync, writeFileSync } from 'node:fs'
import { compare } from './report.mjs'

const begin = '<!-- measured: begin -->'
const end = '<!-- measured: end -->'

const throughput = 'mibPerSecond'
const cpu = 'cpuSecondsPerGib'

/** Label, case, metric. */
const rows = [
  ['listening after start, ms', 'start/listening', 'ms'],
  ['memory when idle, MiB', 'start/idle-memory', 'ownMib'],
  ['memory after the load, MiB', 'none/memory-after-load', 'ownMib'],
  ['synced before the answer: produce 1 KiB, franz-go, MiB/s', 'batch/kgo/1024B/produce', throughput],
  ['synced before the answer: produce 1 KiB, Java, MiB/s', 'batch/java/1024B/produce', throughput],
  ['synced, 1,000 partitions: produce 1 KiB, franz-go, MiB/s', 'batch/partitions/1000/produce', throughput],
  ['not synced: produce 100 B, Java, MiB/s', 'none/java/100B/produce', throughput],
  ['not synced: produce 1 KiB, franz-go, MiB/s', 'none/kgo/1024B/produce', throughput],
  ['not synced: produce 1 KiB, Java, MiB/s', 'none/java/1024B/produce', throughput],
  ['not synced: produce 10 KiB, Java, MiB/s', 'none/java/10240B/produce', throughput],
  [
    'not synced, 1,000 partitions: produce 1 KiB, franz-go, MiB/s',
    'none/partitions/1000/produce',
    throughput,
  ],
  ['consume 1 KiB, franz-go, MiB/s', 'none/kgo/1024B/consume', throughput],
  ['consume 1 KiB, Java, MiB/s', 'none/java/1024B/consume', throughput],
  ['CPU of the broker, produce 1 KiB, Java, s/GiB', 'none/java/1024B/produce', cpu],
  ['CPU of the broker, consume 1 KiB, franz-go, s/GiB', 'none/kgo/1024B/consume', cpu],
  ['CPU of the broker, consume 1 KiB, Java, s/GiB', 'none/java/1024B/consume', cpu],
]

const short = (value) => (value >= 100 ? value.toFixed(0) : Number(value.toPrecision(2)).toString())

/** Replaces the table between the two marks of `file`. */
export function writeReadme({ machine, runs }, file) {
  const lines = rows
    .map(([label, name, metric]) => compare(runs, { label, name, metric }))
    .filter((row) => row?.ours && row.theirs)
    .map(
      ({ label, ours, theirs, ratio }) =>
        `| ${label} | ${short(ours.median)} | ${short(theirs.median)} | ${ratio.toFixed(2)} |`,
    )
  const text = readFileSync(file, 'utf8')
  const [before, rest] = [text.indexOf(begin), text.indexOf(end)]
  if (before < 0 || rest < before) throw new Error(`${file} has no place for measured figures`)
  const table = `| medians, ${machine.date} | cordwood | Kafka ${machine.kafka} | ratio |
|---|---|---|---|
${lines.join('\n')}

All rows, the spreads, and what was run on what: [bench/results/vs-kafka.md](bench/results/vs-kafka.md).`
  writeFileSync(file, `${text.slice(0, before + begin.length)}\n${table}\n${text.slice(rest)}`)
}
