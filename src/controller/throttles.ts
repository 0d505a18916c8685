import { type ConfigRule, clampedNumber, listItems } from './configValues.ts'
import type { MetadataImage } from './image.ts'

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

/** Whether the topic's configs say that the rate holds for the replica of a partition on this broker. */
export function isThrottled(
  image: MetadataImage,
  topicId: string,
  partition: number,
  nodeId: number,
  side: ThrottledSide,
): boolean {
  const list = image.topicsById.get(topicId)?.configs.get(`${side}.replication.throttled.replicas`)
  if (list === undefined || list === '') return false
  const own = `${partition}:${nodeId}`
  return listItems(list).some((item) => item === '*' || item === own)
}
