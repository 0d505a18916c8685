import { type Command, Option } from 'commander'
import { collectPair, wholeNumber } from '../options.ts'
import { type LogLevel, logLevels } from '../stderrLogger.ts'
import type { Terminal } from '../terminal.ts'
import { startCluster } from './startCluster.ts'

/** The options of `cluster start`. */
export interface StartOptions {
  readonly nodes?: number
  readonly basePort?: number
  /** 0: nowhere. */
  readonly metricsBasePort?: number
  readonly host?: string
  readonly directory: string
  readonly set?: readonly (readonly [string, string])[]
  readonly logLevel?: LogLevel
}

const examples = `
Examples:
  $ cordwood cluster start
  $ cordwood cluster start --nodes 5 --base-port 19092 --directory /tmp/five
  $ cordwood cluster start --set num.partitions=6 --metrics-base-port 9100

Node i of the cluster takes clients on the base port + i - 1, and keeps its data in DIRECTORY/node-i, its settings in
DIRECTORY/node-i.properties. Topics get three copies (as many as there are nodes, if those are fewer), of which two must
have a record before it is acknowledged. Started again on the same directory the cluster goes on where it was.

Ctrl-C stops the nodes one after the other, each handing over what it leads. For trying things out: all nodes are
processes of one machine, so a lost machine is lost. On several machines run "cordwood serve" on each.`

/** `cluster`: several brokers on this machine, as one command. */
export function defineCluster(command: Command, terminal: Terminal): void {
  command.addHelpText('after', examples)
  command
    .command('start')
    .description('Start a cluster for development, and stop it when interrupted.')
    .option('-n, --nodes <n>', 'how many brokers (default: 3, or what the directory has)', wholeNumber(1, 32))
    .option(
      '-p, --base-port <port>',
      'where clients reach node 1; node 2 is one higher, and so on (default: 9092, or as before)',
      wholeNumber(1, 65_535),
    )
    .option('-d, --directory <path>', 'the data of all nodes', './cordwood-cluster')
    .option('--host <host>', 'the address to listen on (default: 127.0.0.1, or as before)')
    .option(
      '--metrics-base-port <port>',
      'serve metrics of node 1 there, of node 2 one higher, and so on; 0 for nowhere (default: nowhere, or as before)',
      wholeNumber(0, 65_535),
    )
    .option('--set <name=value>', 'a setting of all nodes; repeatable', collectPair)
    .addOption(
      new Option('--log-level <level>', 'what the nodes log on standard error (default: warn)').choices(
        logLevels,
      ),
    )
    .addHelpText('after', examples)
    .action((options: StartOptions) => startCluster(options, terminal))
}
