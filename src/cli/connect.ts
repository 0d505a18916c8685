import { type Command, Option } from 'commander'
import type { Address } from '../runtime/network.ts'
import { Client } from './client.ts'
import { defaultPort, parseAddresses, parseDuration } from './options.ts'

/** The options that every command which talks to a broker has. */
export interface ConnectOptions {
  readonly bootstrap: readonly Address[]
  /** Milliseconds. */
  readonly timeout: number
}

/** Adds `--bootstrap` and `--timeout` to `command`. */
export function addConnectOptions(command: Command): Command {
  return command
    .addOption(
      new Option('-b, --bootstrap <host:port>', 'brokers to ask first, separated by commas')
        .argParser(parseAddresses)
        .default([{ host: '127.0.0.1', port: defaultPort }], `127.0.0.1:${defaultPort}`),
    )
    .addOption(
      new Option('--timeout <time>', 'how long a request may take, such as 500ms or 2m')
        .argParser(parseDuration)
        .default(30_000, '30s'),
    )
}

/** Runs `work` with a client of the real network, and closes it whatever happens. */
export async function withClient<T>(
  options: ConnectOptions,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const { createNodeRuntime } = await import('../runtime/node/nodeRuntime.ts')
  const client = new Client(createNodeRuntime(), { bootstrap: options.bootstrap, timeoutMs: options.timeout })
  try {
    return await work(client)
  } finally {
    await client.close()
  }
}
