// The load generators: Kafka's own Java performance tools, and kgo-bench (franz-go). Both are clients nobody here wrote.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { peers, root } from './servers.mjs'

/** Runs a program; resolves with its standard output, rejects with what it said on a bad exit or after five minutes. */
function run(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: 300_000 })
    const [out, err] = [[], []]
    child.stdout.on('data', (bytes) => out.push(bytes))
    child.stderr.on('data', (bytes) => err.push(bytes))
    child.on('error', reject)
    child.on('close', (code) => {
      const said = Buffer.concat(out).toString()
      if (code === 0) resolve(said)
      else
        reject(
          new Error(
            `${command} ${args.slice(-20).join(' ')}: ${code}\n${Buffer.concat(err)}${said.slice(-500)}`,
          ),
        )
    })
  })
}

const tools = 'org.apache.kafka.tools'

function java(name, args) {
  const flags = ['-Xms256m', '-Xmx1g', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20']
  const log = `-Dlog4j2.configurationFile=${join(root, 'bench/peers/kafka/log4j2-tools.properties')}`
  return run('java', [...flags, log, '-cp', join(peers, 'kafka/libs/*'), `${tools}.${name}`, ...args])
}

/** ProducerPerformance in Kafka's default settings (16 KiB batches, idempotent, acks=all) unless `props` say otherwise. */
export async function javaProduce({ bootstrap, topic, size, records, props = [] }) {
  const warm = Math.floor(records / 10)
  const load = ['--num-records', `${records}`, '--warmup-records', `${warm}`, '--record-size', `${size}`]
  const command = props.length > 0 ? ['--command-property', ...props] : []
  const out = await java('ProducerPerformance', [
    ...['--bootstrap-server', bootstrap, '--topic', topic, ...load, '--throughput', '-1', ...command],
  ])
  const line = out.split('\n').findLast((text) => text.includes('99.9th'))
  const match = /([\d.]+) records\/sec \(([\d.]+) MB\/sec\).*?(\d+) ms 50th.*?(\d+) ms 99th/.exec(line ?? '')
  if (match === null) throw new Error(`ProducerPerformance said something unexpected: ${out.slice(-300)}`)
  const [recordsPerSecond, mibPerSecond, p50Ms, p99Ms] = match.slice(1).map(Number)
  return { recordsPerSecond, mibPerSecond, p50Ms, p99Ms, bytes: records * size }
}

/** ConsumerPerformance; the rate leaves out the time that joining the group takes. */
export async function javaConsume({ bootstrap, topic, size, records }) {
  const out = await java('ConsumerPerformance', [
    ...[
      '--bootstrap-server',
      bootstrap,
      '--topic',
      topic,
      '--num-records',
      `${records}`,
      '--timeout',
      '60000',
    ],
  ])
  const fields = out.trim().split('\n').at(-1).split(', ')
  if (fields.length < 10) throw new Error(`ConsumerPerformance said something unexpected: ${out.slice(-300)}`)
  return { recordsPerSecond: Number(fields[9]), mibPerSecond: Number(fields[8]), bytes: records * size }
}

async function kgo(args, bytes) {
  const out = await run(join(peers, 'bin/kgo-bench'), args)
  const said = JSON.parse(out.trim().split('\n').at(-1))
  if (said.errors > 0) throw new Error(`kgo-bench: ${said.errors} errors`)
  const latency = said.phase === 'produce' ? { p50Ms: said.p50, p99Ms: said.p99 } : {}
  return { recordsPerSecond: said.rec_s, mibPerSecond: said.mb_s, ...latency, bytes }
}

/** Records that kgo-bench sends before it begins to count. */
export const kgoWarm = (records) => Math.min(Math.floor(records / 10), 100_000)

/** kgo-bench's produce phase: franz-go, linger 5 ms, batches up to 1 MB. */
export function kgoProduce({
  bootstrap,
  topic,
  size,
  records,
  partitions = 1,
  replicas = 1,
  acks = 'all',
  window = 10_000,
}) {
  const warm = kgoWarm(records)
  const load = [
    '-n',
    `${records}`,
    '-warm',
    `${warm}`,
    '-size',
    `${size}`,
    '-acks',
    acks,
    '-window',
    `${window}`,
  ]
  const where = ['-b', bootstrap, '-t', topic, '-parts', `${partitions}`, '-rf', `${replicas}`]
  return kgo([...where, ...load, '-phases', 'produce'], (records + warm) * size)
}

/** kgo-bench's produce phase at `rate` records a second: what latency is when the client does not queue. */
export function kgoPaced({ bootstrap, topic, size, records, rate, replicas = 1 }) {
  const where = ['-b', bootstrap, '-t', topic, '-rf', `${replicas}`]
  const load = ['-n', `${records}`, '-size', `${size}`, '-acks', 'all', '-rate', `${rate}`]
  return kgo([...where, ...load, '-phases', 'produce'], records * size)
}

/** kgo-bench's consume phase over everything that its produce phase wrote. */
export function kgoConsume({ bootstrap, topic, size, records, partitions = 1 }) {
  const all = records + kgoWarm(records)
  const load = ['-n', `${all}`, '-size', `${size}`, '-parts', `${partitions}`]
  return kgo(['-b', bootstrap, '-t', topic, ...load, '-phases', 'consume'], all * size)
}
