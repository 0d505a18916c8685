import type { ClusterConfig, NamedListener, QuorumVoter } from '../controller/clusterConfig.ts'
import { EngineError } from '../model/errors.ts'
import type { Address } from '../runtime/network.ts'
import type { BrokerConfigName } from './configTable.ts'

/** Settings as text, null where there is none. */
export type Texts = ReadonlyMap<BrokerConfigName, string | null>

/** What of a cluster is in the settings, and where clients are served. */
export interface ClusterSettings {
  readonly cluster: ClusterConfig
  /** The listener for clients; that of the nodes where there are none. */
  readonly client: NamedListener
}

/** Throws `invalidConfig`, in one line. */
export function refuse(name: string, value: string, expected: string): never {
  throw new EngineError('invalidConfig', `${name}=${value} is not valid: it must be ${expected}`)
}

/**
 * The cluster that the settings describe; null for a node that stands alone. `given` has the names that were set by somebody. Throws
 * `invalidConfig`, in one line that names the setting.
 */
export function clusterSettings(texts: Texts, given: ReadonlySet<string>): ClusterSettings | null {
  const text = (name: BrokerConfigName): string => texts.get(name)?.trim() ?? ''
  const list = (name: BrokerConfigName): string[] =>
    text(name)
      .split(',')
      .map((one) => one.trim())
      .filter((one) => one !== '')
  const quorum = (['controller.quorum.voters', 'controller.quorum.bootstrap.servers'] as const).find(
    (name) => text(name) !== '',
  )
  const roles = list('process.roles')
  if (roles.length === 0) {
    if (quorum !== undefined) {
      throw new EngineError('invalidConfig', `${quorum} needs process.roles: broker, controller, or both`)
    }
    return null
  }
  const isUnknown = roles.some((role) => role !== 'broker' && role !== 'controller')
  if (isUnknown || new Set(roles).size !== roles.length) {
    refuse('process.roles', text('process.roles'), 'broker, controller, or broker,controller')
  }
  if (quorum === undefined) {
    const need = 'process.roles needs controller.quorum.voters: 1@HOST:PORT,2@HOST:PORT,…'
    throw new EngineError('invalidConfig', need)
  }
  if (!given.has('node.id')) throw new EngineError('invalidConfig', 'a node of a cluster needs node.id')
  const nodeId = Number(text('node.id'))
  const isBroker = roles.includes('broker')
  const isController = roles.includes('controller')
  const listeners = parseListeners('listeners', list('listeners'), text('listeners'))
  const advertised = parseListeners(
    'advertised.listeners',
    list('advertised.listeners'),
    text('advertised.listeners'),
  )
  const { nodeListener, client } = chooseListeners(text, list, listeners, advertised, isBroker)
  const listed = list('controller.quorum.voters').map((one) => parseVoter(one))
  checkVoters(listed, text('controller.quorum.voters'))
  const autoJoin = text('controller.quorum.auto.join.enable') === 'true'
  const servers = list('controller.quorum.bootstrap.servers').map((one) =>
    parseAddress('controller.quorum.bootstrap.servers', one),
  )
  // Who names nobody but itself begins a cluster, as Kafka's example of one node does.
  const { host, port } = nodeListener.advertised
  const isFirst =
    isController && listed.length === 0 && servers.every((one) => one.host === host && one.port === port)
  const voters = isFirst ? [{ id: nodeId, host, port }] : listed
  const bootstrapServers = isFirst ? [] : servers
  if (isController && voters.length > 0 && !autoJoin && !voters.some(({ id }) => id === nodeId)) {
    refuse(
      'controller.quorum.voters',
      text('controller.quorum.voters'),
      `a list with this controller (${nodeId}) in it, unless controller.quorum.auto.join.enable=true`,
    )
  }
  return {
    client,
    cluster: {
      isBroker,
      isController,
      nodeListener,
      clientListenerName: isBroker ? client.name : '',
      voters,
      bootstrapServers,
      autoJoin,
      rack: text('broker.rack') || null,
      heartbeatIntervalMs: Number(text('broker.heartbeat.interval.ms')),
      sessionTimeoutMs: Number(text('broker.session.timeout.ms')),
    },
  }
}

function chooseListeners(
  text: (name: BrokerConfigName) => string,
  list: (name: BrokerConfigName) => string[],
  listeners: readonly NamedAddress[],
  advertised: readonly NamedAddress[],
  isBroker: boolean,
): { readonly nodeListener: NamedListener; readonly client: NamedListener } {
  const [nodeName, ...others] = list('controller.listener.names')
  if (nodeName === undefined || others.length > 0) {
    refuse('controller.listener.names', text('controller.listener.names'), 'the name of exactly one listener')
  }
  const namedListener = ({ name, address }: NamedAddress): NamedListener => ({
    name,
    listen: address,
    advertised: advertised.find((one) => one.name === name)?.address ?? address,
  })
  const ofNodes = listeners.find(({ name }) => name === nodeName)
  if (ofNodes === undefined) {
    refuse(
      'listeners',
      text('listeners'),
      `a list with ${nodeName}://HOST:PORT, on which nodes reach each other`,
    )
  }
  const ofClients = listeners.filter(({ name }) => name !== nodeName)
  if (isBroker ? ofClients.length !== 1 : ofClients.length > 0) {
    const expected = isBroker ? `${nodeName}://… and one listener for clients` : `${nodeName}://… alone`
    refuse('listeners', text('listeners'), expected)
  }
  const between = text('inter.broker.listener.name')
  if (between !== '' && !listeners.some(({ name }) => name === between)) {
    refuse('inter.broker.listener.name', between, 'the name of one of listeners')
  }
  const nodeListener = namedListener(ofNodes)
  if (isWildcard(nodeListener.advertised.host)) {
    refuse('listeners', text('listeners'), `an address of ${nodeName} that other nodes can connect to`)
  }
  return { nodeListener, client: ofClients.length > 0 ? namedListener(ofClients[0]!) : nodeListener }
}

interface NamedAddress {
  readonly name: string
  readonly address: Address
}

/** Whether a host stands for all addresses of the machine. */
export function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::' || host === ''
}

function parseListeners(setting: string, texts: readonly string[], whole: string): NamedAddress[] {
  const found = texts.map((one) => {
    const match = /^([A-Za-z0-9_.-]+):\/\/(.*)$/.exec(one)
    if (match === null) refuse(setting, whole, 'of the form NAME://HOST:PORT,NAME://HOST:PORT')
    return { name: match[1]!, address: parseAddress(setting, match[2]!, whole) }
  })
  if (new Set(found.map(({ name }) => name)).size !== found.length) {
    refuse(setting, whole, 'a list in which each listener has a name of its own')
  }
  return found
}

function parseVoter(text: string): QuorumVoter {
  const match = /^(\d{1,10})@(.+)$/.exec(text)
  if (match === null || Number(match[1]) >= 2 ** 31) {
    refuse('controller.quorum.voters', text, 'of the form ID@HOST:PORT,ID@HOST:PORT')
  }
  return { id: Number(match[1]), ...parseAddress('controller.quorum.voters', match[2]!, text) }
}

function checkVoters(voters: readonly QuorumVoter[], text: string): void {
  const ids = new Set(voters.map(({ id }) => id))
  const places = new Set(voters.map(({ host, port }) => `${host}:${port}`))
  if (ids.size === voters.length && places.size === voters.length) return
  refuse('controller.quorum.voters', text, 'a list in which no id and no address is there twice')
}

function parseAddress(setting: string, text: string, whole = text): Address {
  const match = /^(?:\[([^\]]*)\]|([^:/]*)):(\d{1,5})$/.exec(text)
  if (match === null || Number(match[3]) > 65_535) refuse(setting, whole, 'an address of the form HOST:PORT')
  return { host: match[1] || match[2] || '0.0.0.0', port: Number(match[3]) }
}
