import type { BrokerImage, MetadataImage } from '../controller/image.ts'
import type { AdvertisedNode } from './services.ts'

/** Where clients find a broker. */
export interface NodeEndpoint extends AdvertisedNode {
  readonly rack: string | null
}

/** The brokers as clients see them. */
export interface Nodes {
  /** All that may be asked for something: registered and not fenced, in the order of their ids. */
  all(): readonly NodeEndpoint[]
  /** Those that are registered and fenced: nobody should ask them for anything. */
  fenced(): readonly NodeEndpoint[]
  /** A broker that may be asked; null when there is none of that id. */
  find(nodeId: number): NodeEndpoint | null
  /** `broker.rack`, null for none. */
  rackOf(nodeId: number): string | null
}

/** Where those of `nodeIds` are that may be asked. */
export function endpointsOf(nodes: Nodes, nodeIds: Iterable<number>): NodeEndpoint[] {
  const found: NodeEndpoint[] = []
  for (const id of nodeIds) {
    const node = nodes.find(id)
    if (node !== null) found.push(node)
  }
  return found
}

/** A broker that stands alone. */
export class SingleNode implements Nodes {
  readonly #node: AdvertisedNode

  constructor(node: AdvertisedNode) {
    this.#node = node
  }

  all(): readonly NodeEndpoint[] {
    const { nodeId, host, port } = this.#node
    return [{ nodeId, host, port, rack: null }]
  }

  fenced(): readonly NodeEndpoint[] {
    return []
  }

  find(nodeId: number): NodeEndpoint | null {
    return nodeId === this.#node.nodeId ? this.all()[0]! : null
  }

  rackOf(): string | null {
    return null
  }
}

/** The brokers of a cluster, with their addresses on one listener. */
export class ClusterNodes implements Nodes {
  readonly #image: MetadataImage
  readonly #listenerName: string

  /** `listenerName` is that of the listener for clients; brokers without one are not shown. */
  constructor(image: MetadataImage, listenerName: string) {
    this.#image = image
    this.#listenerName = listenerName
  }

  all(): readonly NodeEndpoint[] {
    const ids = [...this.#image.brokers.keys()].sort((a, b) => a - b)
    return endpointsOf(this, ids)
  }

  fenced(): readonly NodeEndpoint[] {
    return [...this.#image.brokers.values()]
      .filter(({ fenced }) => fenced)
      .flatMap((broker) => this.#endpointOf(broker) ?? [])
      .sort((a, b) => a.nodeId - b.nodeId)
  }

  find(nodeId: number): NodeEndpoint | null {
    const broker = this.#image.brokers.get(nodeId)
    return broker === undefined || broker.fenced ? null : this.#endpointOf(broker)
  }

  #endpointOf({ id: nodeId, endpoints, rack }: BrokerImage): NodeEndpoint | null {
    const endpoint = endpoints.find(({ name }) => name === this.#listenerName)
    return endpoint === undefined ? null : { nodeId, host: endpoint.host, port: endpoint.port, rack }
  }

  rackOf(nodeId: number): string | null {
    return this.#image.brokers.get(nodeId)?.rack ?? null
  }
}
