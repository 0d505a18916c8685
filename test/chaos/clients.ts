import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseSeen } from '../interop/support/clients.ts'
import { type Finished, peersDirectory, repositoryRoot, run, until } from '../interop/support/run.ts'
import type { Ledger, Placed } from './ledger.ts'
import type { Network } from './network.ts'
import { javaPrefix, textOf, writtenBy } from './programs/values.mjs'

const main = new URL('../../dist/cli/main.js', import.meta.url).pathname
const programs = new URL('programs/', import.meta.url).pathname
const javaFlags = [
  '-XX:TieredStopAtLevel=1',
  '-XX:+UseSerialGC',
  '-Xmx256m',
  `-Dlog4j2.configurationFile=${join(repositoryRoot, 'bench/peers/kafka/log4j2-tools.properties')}`,
  '-cp',
  join(peersDirectory, 'kafka/libs/*'),
]

interface NodeId {
  readonly id: number
}

/** A partition as kcat describes it. */
interface PartitionState {
  readonly partition: number
  readonly leader: number
  readonly replicas: readonly NodeId[]
  readonly isrs: readonly NodeId[]
}

/** Where clients run and what they talk to. */
export interface ClientsPlace {
  readonly network: Network
  /** Members of the network that clients run at. */
  readonly members: readonly [string, string]
  readonly bootstrap: string
  readonly topic: string
  readonly partitions: number
  readonly directory: string
  readonly ledger: Ledger
  /** Milliseconds since the start. */
  readonly now: () => number
}

/** Producers and a consumer as people run them: kafkajs and Java, in processes of their own. */
export class Clients {
  readonly #place: ClientsPlace
  readonly #children: ChildProcess[] = []
  #isEnding = false

  constructor(place: ClientsPlace) {
    this.#place = place
  }

  /** Makes the topic, waiting for a cluster that lets it be made. */
  async createTopic(replicationFactor: number): Promise<void> {
    const { bootstrap, topic, partitions } = this.#place
    const program = `
      import { Kafka, logLevel } from 'kafkajs'
      const admin = new Kafka({ brokers: ${JSON.stringify(bootstrap)}.split(','), logLevel: logLevel.NOTHING, retry: { retries: 3 } }).admin()
      await admin.connect()
      await admin.createTopics({ waitForLeaders: true, topics: [{ topic: ${JSON.stringify(topic)}, numPartitions: ${partitions}, replicationFactor: ${replicationFactor} }] })
      await admin.disconnect()`
    await until('a cluster that makes a topic', async () => (await this.#node(program)) !== null, 180_000)
  }

  /** Starts a producer of kafkajs, one of Java, and a consumer. */
  start(): void {
    const { bootstrap, topic, partitions } = this.#place
    const values = [bootstrap, topic, `${partitions}`]
    this.#spawn(0, process.execPath, [`${programs}producer.mjs`, ...values, 'kafkajs', '60'], (line) =>
      this.#produced('kafkajs', line),
    )
    this.#spawn(1, process.execPath, [`${programs}consumer.mjs`, bootstrap, topic, 'chaos'], (line) => {
      if (line.error === undefined) this.#place.ledger.see(line as unknown as Placed)
    })
    this.#startJava()
  }

  /** Which node leads most partitions, as clients are told; -1 when they cannot find out. */
  async leader(): Promise<number> {
    const counts = new Map<number, number>()
    for (const { leader } of await this.#partitions()) {
      if (leader > 0) counts.set(leader, (counts.get(leader) ?? 0) + 1)
    }
    return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? -1
  }

  /** What is not in sync, as clients are told: replicas of partitions, nodes that do not vote on the metadata; null for nothing. */
  async behind(): Promise<string | null> {
    const partitions = await this.#partitions()
    if (partitions.length === 0) return 'nobody tells of partitions'
    const short = partitions.filter(({ replicas, isrs }) => isrs.length < replicas.length)
    if (short.length > 0) {
      const ids = (of: readonly NodeId[]): string => of.map(({ id }) => id).join(' ')
      return short
        .map(({ partition, leader, replicas, isrs }) => {
          return `partition ${partition}, which ${leader} leads: ${ids(isrs)} of ${ids(replicas)}`
        })
        .join('; ')
    }
    const { bootstrap } = this.#place
    const status = [process.execPath, main, 'quorum', 'status', '--json', '--bootstrap', bootstrap]
    const [program, ...args] = this.#at(1, status)
    const { code, stdout, stderr } = await asked(program!, args, 20_000)
    if (code !== 0) return `nobody tells of the quorum: ${stderr}`
    const { voters } = JSON.parse(stdout) as { voters: unknown[] }
    return voters.length === bootstrap.split(',').length ? null : `the quorum is ${stdout}`
  }

  /** Everything that is stored, by a reader of its own. */
  async read(): Promise<readonly Placed[]> {
    return await this.#consume(['-e'])
  }

  /** The first records of each partition, so many of each, from the replica that is in `rack`, if there is one. */
  async readFrom(rack: string, counts: ReadonlyMap<number, number>): Promise<readonly Placed[]> {
    const parts = [...counts].map(([partition, count]) =>
      this.#consume(['-X', `client.rack=${rack}`, '-p', `${partition}`, '-c', `${count}`]),
    )
    return (await Promise.all(parts)).flat()
  }

  /** Lets producers end what they have begun, then ends everybody. */
  async stop(): Promise<void> {
    this.#isEnding = true
    for (const child of this.#children) child.kill('SIGTERM')
    const gone = this.#children.map((child) => new Promise((resolve) => child.once('exit', resolve)))
    const timer = setTimeout(() => this.kill(), 20_000)
    const isThere = ({ exitCode, signalCode }: ChildProcess): boolean =>
      exitCode === null && signalCode === null
    await Promise.all(gone.filter((_, index) => isThere(this.#children[index]!)))
    clearTimeout(timer)
  }

  /** Ends everybody at once. */
  kill(): void {
    this.#isEnding = true
    for (const child of this.#children) child.kill('SIGKILL')
  }

  async #consume(how: readonly string[]): Promise<readonly Placed[]> {
    const { bootstrap, topic } = this.#place
    const what = ['-C', '-t', topic, '-o', 'beginning', '-f', '%p\t%o\t%k\t%s\n']
    const [program, ...args] = this.#at(0, ['kcat', '-q', '-b', bootstrap, ...what, ...how])
    return parseSeen((await run(program!, args, { timeoutMs: 120_000 })).stdout)
  }

  async #partitions(): Promise<readonly PartitionState[]> {
    const { bootstrap, topic } = this.#place
    const [program, ...args] = this.#at(1, ['kcat', '-b', bootstrap, '-m', '3', '-L', '-J', '-t', topic])
    const { code, stdout } = await asked(program!, args, 10_000)
    if (code !== 0) return []
    const { topics } = JSON.parse(stdout) as { topics: { partitions: PartitionState[] }[] }
    return topics.flatMap((each) => each.partitions)
  }

  #startJava(): void {
    const { bootstrap, topic, directory, ledger, now } = this.#place
    const properties = join(directory, 'java.properties')
    const settings = [
      'enable.idempotence=true',
      // This program's own default is none at all.
      `retries=${2 ** 31 - 1}`,
      'linger.ms=5',
      // It stays with a partition until it has written so much there.
      'batch.size=2048',
      'request.timeout.ms=5000',
      // Its default. What is there twice because of it is told from what a broker has let in twice by `blameFor`.
      'delivery.timeout.ms=120000',
    ]
    writeFileSync(
      properties,
      `${[...settings, 'max.block.ms=60000', 'reconnect.backoff.max.ms=500'].join('\n')}\n`,
    )
    const tool = 'org.apache.kafka.tools.VerifiableProducer'
    const what = ['--topic', topic, '--throughput', '200', '--acks', '-1', '--command-config', properties]
    const more = ['--value-prefix', `${javaPrefix}`, '--bootstrap-server', bootstrap]
    this.#spawn(1, 'java', [...javaFlags, tool, ...what, ...more], (line) => {
      if (line.name === 'producer_send_success') {
        const { partition, offset, value } = line as { partition: number; offset: number; value: string }
        ledger.acknowledge({ partition, offset, value }, now())
      } else if (line.name === 'producer_send_error') {
        ledger.doubts += 1
        ledger.givenUp.push(writtenBy(`${line.value}`)!.number)
      }
    })
  }

  #produced(name: string, line: Record<string, unknown>): void {
    const { ledger, now } = this.#place
    if (line.doubt !== undefined) {
      ledger.doubts += 1
      return
    }
    const { partition, baseOffset, from, count } = line as Record<string, number>
    for (let index = 0; index < count!; index++) {
      const value = textOf(name, partition, from! + index)
      ledger.acknowledge({ partition: partition!, offset: baseOffset! + index, value }, now())
    }
  }

  #spawn(
    member: 0 | 1,
    program: string,
    args: readonly string[],
    take: (line: Record<string, unknown>) => void,
  ): void {
    const [first, ...rest] = this.#at(member, [program, ...args])
    const errors = openSync(join(this.#place.directory, `client-${this.#children.length}.log`), 'a')
    const child = spawn(first!, rest, { stdio: ['pipe', 'pipe', errors], cwd: repositoryRoot })
    closeSync(errors)
    this.#children.push(child)
    child.once('exit', (code, signal) => {
      if (!this.#isEnding)
        this.#place.ledger.problem(`a client, ${program}, has ended by itself: ${signal ?? code}`)
    })
    let tail = ''
    child.stdout!.on('data', (chunk: Buffer) => {
      const lines = (tail + chunk.toString()).split('\n')
      tail = lines.pop()!
      for (const line of lines) if (line.startsWith('{')) take(JSON.parse(line))
    })
  }

  async #node(program: string): Promise<string | null> {
    const [first, ...rest] = this.#at(0, [process.execPath, '--input-type=module', '-e', program])
    const { code, stdout } = await run(first!, rest, { mayFail: true, timeoutMs: 20_000 })
    return code === 0 ? stdout : null
  }

  #at(member: 0 | 1, command: readonly string[]): readonly string[] {
    return this.#place.network.command(this.#place.members[member], command)
  }
}

/** Runs a program that may fail, or not end in time, where there is nobody to answer: then without a code. */
async function asked(program: string, args: readonly string[], timeoutMs: number): Promise<Finished> {
  return await run(program, args, { mayFail: true, timeoutMs }).catch((error: unknown) => {
    return { code: null, stdout: '', stderr: String(error) }
  })
}
