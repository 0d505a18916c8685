import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import { type BrokerConfig, brokerConfig } from '../broker/brokerConfig.ts'
import { type BrokerConfigName, brokerConfigTable } from '../broker/configTable.ts'
import { EngineError } from '../model/errors.ts'
import type { Address } from '../runtime/network.ts'
import { UsageError } from './failure.ts'
import { formatAddress, parseMetricsAddress } from './options.ts'
import { type Property, parseProperties } from './properties.ts'
import { type Gathered, gatherSettings, originIn, type Setting } from './settings.ts'

/** The options of `serve` that say what a setting says. */
export interface SettingOptions {
  readonly listen?: Address
  readonly advertise?: Address
  readonly directory?: string
  readonly config?: string
  readonly set?: readonly (readonly [string, string])[]
  readonly flush?: string
  readonly journalDirectory?: string
  readonly journalSize?: number
  readonly metrics?: Address
}

/** Settings that a broker can start with. */
export interface ServeSettings {
  readonly config: BrokerConfig
  readonly settings: Gathered['settings']
  /** Sentences for the log, beside those of `config`. */
  readonly warnings: readonly string[]
}

/**
 * The settings of a broker, from its options, the environment and a file (`--config`, else `CORDWOOD_CONFIG`), checked.
 * Throws `UsageError`: one line with the place of the first thing that is wrong, and how many more there are.
 */
export function serveSettings(
  options: SettingOptions,
  environment: Readonly<Record<string, string | undefined>>,
): ServeSettings {
  const path = options.config ?? environment.CORDWOOD_CONFIG
  const file = path === undefined ? null : { path, properties: readProperties(path) }
  const sources = { file, environment, set: options.set ?? [] }
  const weaker = gatherSettings({ ...sources, flags: [] }).settings
  const { settings, warnings, problems } = gatherSettings({
    ...sources,
    flags: flagSettings(options, weaker),
  })
  const [first, ...others] = problems
  if (first !== undefined) {
    const more = others.length === 0 ? '' : ` (and ${others.length} more: ${others.join('; ')})`
    throw new UsageError(`${first}${more}`)
  }
  const properties = Object.fromEntries([...settings.values()].map(({ name, value }) => [name, value]))
  try {
    const config = brokerConfig(properties, { hostName: hostname(), absolute: resolve })
    checkMetricsListener(config.text('cordwood.metrics.listener'))
    return { config, settings, warnings }
  } catch (error) {
    if (!(error instanceof EngineError)) throw error
    throw new UsageError(`${originIn(error.message, settings)}${error.message}`)
  }
}

function checkMetricsListener(text: string): void {
  if (text === '') return
  try {
    parseMetricsAddress(text)
  } catch {
    const message = `cordwood.metrics.listener=${text} is not valid: it must be HOST:PORT or a port`
    throw new EngineError('invalidConfig', message)
  }
}

/** Every setting that is not at its default, as a properties file that says where each comes from. */
export function printedSettings({ settings, config }: ServeSettings): string {
  let text = ''
  for (const name of Object.keys(brokerConfigTable)) {
    if (settings.has(name)) continue
    const value = config.texts.get(name as BrokerConfigName)
    if (value !== null && value !== undefined) text += `# default\n${name}=${escaped(value)}\n`
  }
  for (const { name, value, origin } of settings.values()) {
    text += `# ${origin}\n${name}=${escaped(value)}\n`
  }
  return text
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}

function readProperties(path: string): readonly Property[] {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new UsageError(`cannot read --config ${path}: ${(error as Error).message}`)
  }
  return parseProperties(text, path)
}

/** `weaker` is what the other sources say: in a cluster `--listen` means one of several listeners. */
function flagSettings(options: SettingOptions, weaker: Gathered['settings']): readonly Setting[] {
  const settings: Setting[] = []
  const flag = (origin: string, name: BrokerConfigName | 'cordwood.flush.policy', value?: string): void => {
    if (value !== undefined) settings.push({ name, value, origin })
  }
  const listener = (name: BrokerConfigName, address?: Address): string | undefined =>
    address === undefined ? undefined : withClientListener(name, formatAddress(address), weaker)
  flag('--listen', 'listeners', listener('listeners', options.listen))
  flag('--advertise', 'advertised.listeners', listener('advertised.listeners', options.advertise))
  flag('--directory', 'log.dirs', options.directory)
  flag('--flush', 'cordwood.flush.policy', options.flush)
  flag('--journal-directory', 'cordwood.journal.directory', options.journalDirectory)
  flag('--journal-size', 'cordwood.journal.bytes', options.journalSize?.toString())
  if (options.metrics !== undefined) {
    flag('--metrics', 'cordwood.metrics.listener', formatAddress(options.metrics))
  }
  return settings
}

/** The listeners of `weaker` with the one for clients at `address`; those of nodes stay. */
function withClientListener(name: BrokerConfigName, address: string, weaker: Gathered['settings']): string {
  const listOf = (setting: BrokerConfigName): string[] =>
    (weaker.get(setting)?.value ?? brokerConfigTable[setting].default ?? '')
      .split(',')
      .map((one) => one.trim())
      .filter((one) => one !== '')
  if (listOf('process.roles').length === 0) return `PLAINTEXT://${address}`
  const nodeNames = listOf('controller.listener.names')
  const isOfNodes = (one: string): boolean => nodeNames.some((each) => one.startsWith(`${each}://`))
  const client = listOf('listeners').find((one) => !isOfNodes(one)) ?? 'PLAINTEXT://'
  return [`${client.replace(/:\/\/.*$/, '')}://${address}`, ...listOf(name).filter(isOfNodes)].join(',')
}
