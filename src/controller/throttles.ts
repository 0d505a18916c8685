import type { Uuid } from '../model/uuid.ts'
import { type ConfigRule, clampedNumber, listItems } from './configValues.ts'
import type { MetadataImage, TopicImage } from './image.ts'

/** Whether a broker sends or takes. */
export type ThrottledSide = 'leader' | 'follower'

/** The configs of brokers that bound what replicas that catch up get, in bytes per second. Source: KIP-73. */
export const throttleRates: ReadonlySet<string> = new Set([
  'leader.replication.throttled.rate',
  'follower.replication.throttled.rate',
])

/** The configs of topics that say for which replicas the rates hold. Source: KIP-73. */
export const throttledReplicas: ReadonlySet<string> = new Set([
  'leader.replication.throttled.replicas',
  'follower.replication.throttled.replicas',
])

/** What such a rate may be. */
export const throttleRate: ConfigRule = { type: 'long', min: 0n }

/** The rate that was set for a broker or for all, bytes per second; `Infinity` where none was. */
export function throttledRateOf(image: MetadataImage, nodeId: number, side: ThrottledSide): number {
  const name = `${side}.replication.throttled.rate`
  const text = image.brokerConfigs.get(String(nodeId))?.get(name) ?? image.brokerConfigs.get('')?.get(name)
  return text === undefined ? Number.POSITIVE_INFINITY : clampedNumber(text)
}

/** For which replicas of a broker the rate holds on one side. A list is taken apart again only once it has changed. */
export class ThrottledReplicas {
  readonly #image: MetadataImage
  readonly #nodeId: number
  readonly #name: string
  readonly #lists = new WeakMap<TopicImage, { readonly text: string; readonly items: ReadonlySet<string> }>()

  constructor(image: MetadataImage, nodeId: number, side: ThrottledSide) {
    this.#image = image
    this.#nodeId = nodeId
    this.#name = `${side}.replication.throttled.replicas`
  }

  /** Whether the topic's configs say so of the replica of this partition. */
  has(topicId: Uuid, partition: number): boolean {
    const topic = this.#image.topicsById.get(topicId)
    const text = topic?.configs.get(this.#name)
    if (topic === undefined || text === undefined || text === '') return false
    const items = this.#itemsOf(topic, text)
    return items.has('*') || items.has(`${partition}:${this.#nodeId}`)
  }

  #itemsOf(topic: TopicImage, text: string): ReadonlySet<string> {
    const known = this.#lists.get(topic)
    if (known?.text === text) return known.items
    const items = new Set(listItems(text))
    this.#lists.set(topic, { text, items })
    return items
  }
}
