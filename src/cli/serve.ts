import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { type Command, Option } from 'commander'
import { Broker } from '../broker/broker.ts'
import { type BrokerConfig, brokerConfig } from '../broker/brokerConfig.ts'
import { toLogConfig } from '../controller/topicConfigs.ts'
import { EngineError } from '../model/errors.ts'
import { describeFlush, flushPolicyNames } from '../model/flushPolicy.ts'
import type { Address } from '../runtime/network.ts'
import { decompressWithin } from '../zerocopy/codecs.ts'
import { createRuntime } from '../zerocopy/nativeRuntime.ts'
import { UsageError } from './failure.ts'
import { collectPair, formatAddress, parseAddress, parseBytes } from './options.ts'
import { parseProperties } from './properties.ts'
import { type LogFormat, type LogLevel, logFormats, logLevels, stderrLogger } from './stderrLogger.ts'
import type { Terminal } from './terminal.ts'

interface ServeOptions {
  readonly listen?: Address
  readonly advertise?: Address
  readonly directory?: string
  readonly config?: string
  readonly set?: readonly (readonly [string, string])[]
  readonly flush?: string
  readonly journalDirectory?: string
  readonly journalSize?: number
  readonly logLevel: LogLevel
  readonly logFormat: LogFormat
}

/** The largest body that a lookup by time decompresses, in the thread that serves everybody. */
const maxLookupBytes = 32 * 1024 * 1024

const flushPolicyName = 'cordwood.flush.policy'

const examples = `
Examples:
  $ cordwood serve
  $ cordwood serve --listen 127.0.0.1:19092 --directory /var/lib/cordwood
  $ cordwood serve --listen 0.0.0.0:9092 --advertise broker.example.org:9092
  $ cordwood serve --set num.partitions=6 --set log.retention.ms=86400000
  $ cordwood serve --config server.properties --flush none

Settings have Kafka's names and defaults; flags win over --set, --set over --config. A setting that is not known
or not yet supported is refused by name. The flush policy says when a record counts as stored: under "journal",
"batch" and "append" once it is on the disk (survives a power cut), under "none", "interval", "bytes" and "records"
once the system has it (survives the death of the process); a topic may have its own (cordwood.flush.policy).

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
    .option('--config <file>', 'settings, as in Kafka’s server.properties')
    .option('--set <name=value>', 'one setting; repeatable', collectPair)
    .addOption(
      new Option('--flush <policy>', 'when a record counts as stored (default: journal)').choices(
        flushPolicyNames,
      ),
    )
    .addOption(
      new Option('--log-level <level>', 'what to log on standard error').choices(logLevels).default('info'),
    )
    .addOption(new Option('--log-format <format>', 'how to log').choices(logFormats).default('text'))
    .addHelpText('after', examples)
    .action((options: ServeOptions) => serve(options, terminal))
}

async function serve(options: ServeOptions, terminal: Terminal): Promise<void> {
  const config = checkedConfig(options)
  const logger = stderrLogger(options.logLevel, options.logFormat)
  const runtime = createRuntime({
    onFallback: (why) => logger.warn('running without the native addon', { why }),
  })
  let broker: Broker
  try {
    broker = await Broker.start(runtime, config, logger, { decompress: decompressWithin(maxLookupBytes) })
  } catch (error) {
    await runtime.compute.close()
    await runtime.disk.close()
    throw withAdvice(error, config)
  }
  const readyMs = Math.round(performance.now())
  const address = formatAddress(broker.address)
  const flush = toLogConfig(new Map(), config.statics).flush
  await terminal.write(
    `cordwood is ready on ${address} after ${readyMs} ms: directory ${config.directory}, flush ${describeFlush(flush)}, ${runtime.kind}\n`,
  )
  if (terminal.outputIsTerminal) {
    await terminal.write(
      `Try it:  echo hello | kcat -P -b ${address} -t greetings  &&  kcat -C -e -b ${address} -t greetings\n`,
    )
  }
  const stop = terminal.interruptible() // Until here a signal ends the process: recovery survives that.
  await aborted(stop)
  logger.info('stopping', { signal: String(stop.reason) })
  await broker.close()
  await runtime.compute.close()
  await runtime.disk.close()
  logger.info('stopped')
}

/** The settings, checked; what is wrong with them is wrong with the command line. */
function checkedConfig(options: ServeOptions): BrokerConfig {
  try {
    return brokerConfig(settings(options), { hostName: hostname() })
  } catch (error) {
    if (!(error instanceof EngineError)) throw error
    throw new UsageError(`${error.message}; see --set and --config in "cordwood serve --help"`)
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** The settings under Kafka's names: those of the file, over them `--set`, over them the flags. */
function settings(options: ServeOptions): Record<string, string> {
  const { config, set = [], listen, advertise, directory, flush, journalDirectory, journalSize } = options
  return {
    ...(config === undefined ? {} : parseProperties(readConfig(config), config)),
    ...Object.fromEntries(set),
    ...(listen === undefined ? {} : { listeners: `PLAINTEXT://${formatAddress(listen)}` }),
    ...(advertise === undefined ? {} : { 'advertised.listeners': `PLAINTEXT://${formatAddress(advertise)}` }),
    ...(directory === undefined ? {} : { 'log.dirs': directory }),
    ...(flush === undefined ? {} : { [flushPolicyName]: flush }),
    ...(journalDirectory === undefined ? {} : { 'cordwood.journal.directory': journalDirectory }),
    ...(journalSize === undefined ? {} : { 'cordwood.journal.bytes': String(journalSize) }),
  }
}

function readConfig(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new UsageError(`cannot read --config ${file}: ${(error as Error).message}`)
  }
}

/** `error` with what to do about it, where the engine cannot know the flags. */
function withAdvice(error: unknown, { listen, directory }: BrokerConfig): unknown {
  if (!(error instanceof EngineError)) return error
  const advice: Partial<Record<EngineError['code'], string>> = {
    addressInUse: 'stop it, or choose another port with --listen',
    networkException: `choose an address of this machine with --listen (this is ${formatAddress(listen)})`,
    permissionDenied: 'this user may not; see --directory and --listen',
    directoryLocked: 'stop that process, or choose another --directory',
    diskFailed: `check ${directory}, or choose another --directory`,
    diskFull: `make room on the disk of ${directory}`,
  }
  const text = advice[error.code]
  return text === undefined
    ? error
    : new EngineError(error.code, `${error.message}; ${text}`, { cause: error })
}
