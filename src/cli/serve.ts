import { type Command, Option } from 'commander'
import { Broker } from '../broker/broker.ts'
import type { BrokerConfig } from '../broker/brokerConfig.ts'
import { toLogConfig } from '../controller/topicConfigs.ts'
import { EngineError } from '../model/errors.ts'
import { describeFlush, flushPolicyNames } from '../model/flushPolicy.ts'
import type { Logger } from '../model/logger.ts'
import { decompressWithin } from '../zerocopy/codecs.ts'
import { createRuntime } from '../zerocopy/nativeRuntime.ts'
import { ExitCode, ExitWith, UsageError } from './failure.ts'
import { Monitor } from './metrics/monitor.ts'
import { collectPair, formatAddress, parseAddress, parseBytes, parseMetricsAddress } from './options.ts'
import { withAdvice } from './serveAdvice.ts'
import { printedSettings, type SettingOptions, serveSettings } from './serveSettings.ts'
import { type LogFormat, type LogLevel, logFormats, logLevels, stderrLogger } from './stderrLogger.ts'
import type { Terminal } from './terminal.ts'

interface ServeOptions extends SettingOptions {
  readonly checkConfig?: true
  readonly printConfig?: true
  readonly untilStdinEnds?: true
  readonly logLevel?: LogLevel
  readonly logFormat?: LogFormat
}

/** The largest body that a lookup by time decompresses, in the thread that serves everybody. */
const maxLookupBytes = 32 * 1024 * 1024

/** How long a node of a cluster waits before it says, and says again, what for. */
const patienceMs = 5_000

const examples = `
Examples:
  $ cordwood serve
  $ cordwood serve --listen 127.0.0.1:19092 --directory /var/lib/cordwood
  $ cordwood serve --listen 0.0.0.0:9092 --advertise broker.example.org:9092
  $ cordwood serve --set num.partitions=6 --set log.retention.ms=86400000
  $ cordwood serve --config server.properties --flush none
  $ cordwood serve --config server.properties --check-config
  $ cordwood serve --config node-1.properties          a node of a cluster; see docs/configuration.md
  $ cordwood serve --metrics 127.0.0.1:9100            then: curl -s 127.0.0.1:9100/metrics

Settings have Kafka's names and defaults. Options of their own win over --set, that over the environment, that over the
file of --config. In the environment num.partitions is CORDWOOD_NUM_PARTITIONS, cordwood.flush.policy is
CORDWOOD_FLUSH_POLICY; KAFKA_NUM_PARTITIONS, as for Kafka's image, is read too and is weaker. A setting that is not known
or not yet supported is refused by name; what only tunes Kafka's inner parts is left out, with a warning.

The flush policy says when a record counts as stored: under "journal", "batch" and "append" once it is on the disk
(survives a power cut), under "none", "interval", "bytes" and "records" once the system has it (survives the death of the
process); a topic may have its own (cordwood.flush.policy).

Ctrl-C closes the broker in order; a second one ends it at once. Either way nothing acknowledged is lost.`

/** `serve`: a broker until it is told to stop. */
export function defineServe(command: Command, terminal: Terminal): void {
  command
    .option(
      '-l, --listen <host:port>',
      'where to listen (default: 127.0.0.1:9092); port 0 takes a free one',
      parseAddress,
    )
    .option(
      '--advertise <host:port>',
      'the address that clients are told to connect to (default: where it listens)',
      parseAddress,
    )
    .option(
      '-d, --directory <path>',
      'the data directory, made if it is not there (default: ./cordwood-data)',
    )
    .option(
      '--journal-directory <path>',
      'where the journal is, perhaps on another disk (default: .journal in the data directory)',
    )
    .option('--journal-size <size>', 'how large the journal may become (default: 1GiB)', parseBytes)
    .option('--config <file>', 'settings, as in Kafka’s server.properties (or CORDWOOD_CONFIG)')
    .option('--set <name=value>', 'one setting; repeatable', collectPair)
    .addOption(
      new Option('--flush <policy>', 'when a record counts as stored (default: journal)').choices(
        flushPolicyNames,
      ),
    )
    .option(
      '--metrics <host:port>',
      'serve /metrics for Prometheus, /healthz and /readyz over HTTP (default: nowhere)',
      parseMetricsAddress,
    )
    .option('--check-config', 'say whether the settings are right, and start nothing')
    .option('--print-config', 'print every setting and where it comes from, and start nothing')
    .option(
      '--until-stdin-ends',
      'stop in order when standard input ends too, for programs that start a broker',
    )
    .addOption(
      new Option('--log-level <level>', 'what to log on standard error (default: info)').choices(logLevels),
    )
    .addOption(new Option('--log-format <format>', 'how to log (default: text)').choices(logFormats))
    .addHelpText('after', examples)
    .action((options: ServeOptions) => serve(options, terminal))
}

async function serve(options: ServeOptions, terminal: Terminal): Promise<void> {
  const { environment } = terminal
  const chosen = serveSettings(options, environment)
  const { config } = chosen
  if (options.printConfig) return terminal.write(printedSettings(chosen))
  const level = options.logLevel ?? choice(environment, 'CORDWOOD_LOG_LEVEL', logLevels, 'info')
  const format = options.logFormat ?? choice(environment, 'CORDWOOD_LOG_FORMAT', logFormats, 'text')
  if (options.checkConfig) {
    for (const warning of [...chosen.warnings, ...config.warnings]) terminal.note(`warning: ${warning}`)
    return terminal.write('the settings are right\n')
  }
  const logger = stderrLogger(level, format)
  for (const warning of chosen.warnings) logger.warn(warning)
  const runtime = createRuntime({
    onFallback: (why) => logger.warn('running without the native addon', { why }),
  })
  const closeRuntime = async (): Promise<void> => {
    await runtime.compute.close()
    await runtime.disk.close()
  }
  const monitor = new Monitor(config)
  const inputEnded = options.untilStdinEnds ? ended(terminal.input) : null
  const lost = new AbortController()
  let broker: Broker
  try {
    await monitor.listen()
  } catch (error) {
    await closeRuntime()
    throw error
  }
  let starting: Promise<Broker> | null = null
  try {
    starting = Broker.start(runtime, config, logger, {
      decompress: decompressWithin(maxLookupBytes),
      lost: (error) => lost.abort(error),
    })
    broker = await withPatience(starting, { inputEnded, lost: lost.signal }, config, logger)
  } catch (error) {
    await monitor.close()
    if (starting !== null && mayBeginAnew(lost.signal)) {
      const started = await starting.catch(() => null)
      await started?.close()
      await closeRuntime()
      return serve(options, terminal)
    }
    // One that was given up while it starts is still at work: the end of the process ends it.
    if (!lost.signal.aborted && !(error instanceof ExitWith)) await closeRuntime()
    throw withAdvice(error, config)
  }
  monitor.broker = broker
  const readyMs = Math.round(performance.now())
  const address = formatAddress(broker.address)
  const flush = toLogConfig(new Map(), config.statics).flush
  const metrics =
    monitor.address === null ? '' : `, metrics on http://${formatAddress(monitor.address)}/metrics`
  const node = config.cluster === null ? '' : `node ${config.nodeId}, `
  await terminal.write(
    `cordwood is ready on ${address} after ${readyMs} ms: ${node}directory ${config.directory}, flush ${describeFlush(flush)}, ${runtime.kind}${metrics}\n`,
  )
  if (terminal.outputIsTerminal) {
    await terminal.write(
      `Try it:  echo hello | kcat -P -b ${address} -t greetings  &&  kcat -C -e -b ${address} -t greetings\n`,
    )
  }
  const stop = terminal.interruptible() // Until here a signal ends the process: recovery survives that.
  await Promise.race([aborted(stop), aborted(lost.signal), ...(inputEnded === null ? [] : [inputEnded])])
  const why = lost.signal.aborted ? 'no place in the cluster' : (stop.reason ?? 'standard input ended')
  logger.info('stopping', { signal: String(why) })
  monitor.isStopping = true
  await broker.close()
  await monitor.close()
  await closeRuntime()
  logger.info('stopped')
  if (!stop.aborted && mayBeginAnew(lost.signal)) return serve(options, terminal)
  if (lost.signal.aborted) throw lost.signal.reason
}

/** Whether it ended because its disk went back: the next start puts that aside, and the cluster takes the node up again. */
function mayBeginAnew({ reason }: AbortSignal): boolean {
  return reason instanceof EngineError && reason.code === 'directoryRolledBack'
}

/** What `starting` gives, with a word on what it waits for. Throws when the cluster refuses it, or who started it is gone. */
async function withPatience(
  starting: Promise<Broker>,
  ends: { readonly inputEnded: Promise<void> | null; readonly lost: AbortSignal },
  { cluster }: BrokerConfig,
  logger: Logger,
): Promise<Broker> {
  const voters = cluster?.voters.map(({ id }) => id).join(', ') ?? ''
  const timer = setInterval(() => {
    if (cluster === null) return
    logger.warn('waiting to be taken up by the cluster: that needs most of the controllers', { voters })
  }, patienceMs)
  starting.catch(() => {})
  const refused = aborted(ends.lost).then(() => Promise.reject(ends.lost.reason))
  const left = ends.inputEnded?.then(() => Promise.reject(new ExitWith(ExitCode.failure)))
  left?.catch(() => {})
  try {
    return await Promise.race([starting, refused, ...(left === undefined ? [] : [left])])
  } finally {
    clearInterval(timer)
  }
}

async function ended(input: Terminal['input']): Promise<void> {
  for await (const _ of input);
}

function choice<T extends string>(
  environment: Terminal['environment'],
  name: string,
  choices: readonly T[],
  otherwise: T,
): T {
  const text = environment[name]
  if (text === undefined || text === '') return otherwise
  const found = choices.find((each) => each === text)
  if (found !== undefined) return found
  throw new UsageError(`${name}=${text} in the environment: it must be ${choices.join(' or ')}`)
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
