import type { MetadataImage } from '../controller/image.ts'
import type { Uuid } from '../model/uuid.ts'
import type { Endpoint } from '../raft.ts'

/** The other nodes of the cluster, as the replicas of this one see them. */
export class Peers {
  readonly #image: MetadataImage
  readonly #nodeListener: string

  /** `nodeListener` is the name of the listener that nodes reach each other on. */
  constructor(image: MetadataImage, nodeListener: string) {
    this.#image = image
    this.#nodeListener = nodeListener
  }

  /** Where a node listens for others; none when it is not registered. */
  endpointsOf(nodeId: number): readonly Endpoint[] {
    const endpoints = this.#image.brokers.get(nodeId)?.endpoints ?? []
    return endpoints
      .filter(({ name }) => name === this.#nodeListener)
      .map(({ name, host, port }) => ({ name, host, port }))
  }

  /** The only directory of a node, as it is registered; null when there is none. */
  directoryOf(nodeId: number): Uuid | null {
    const directories = this.#image.brokers.get(nodeId)?.directories ?? []
    return directories.length === 1 ? directories[0]! : null
  }

  /** Whether a node may be given leaderships. */
  mayLead(nodeId: number): boolean {
    const broker = this.#image.brokers.get(nodeId)
    return broker !== undefined && !broker.fenced && !broker.inControlledShutdown
  }

  /** `broker.rack` of a node, null where it has none or is not known. */
  rackOf(nodeId: number): string | null {
    return this.#image.brokers.get(nodeId)?.rack ?? null
  }
}
