import type { MetadataDelta, TopicImage } from './image.ts'

/** Gathers what the records of one change do, for the listeners. */
export class DeltaBuilder {
  readonly #created = new Set<TopicImage>()
  readonly #deleted = new Set<TopicImage>()
  readonly #grown = new Map<TopicImage, number[]>()
  readonly #configured = new Set<TopicImage>()
  readonly #changed = new Map<TopicImage, Set<number>>()
  readonly #brokers = new Set<number>()
  #brokerConfigs = false

  topicCreated(topic: TopicImage): void {
    this.#created.add(topic)
  }

  /** A topic that the same change created leaves no trace. */
  topicDeleted(topic: TopicImage): void {
    this.#grown.delete(topic)
    this.#configured.delete(topic)
    this.#changed.delete(topic)
    if (!this.#created.delete(topic)) this.#deleted.add(topic)
  }

  partitionAdded(topic: TopicImage, partition: number): void {
    if (this.#created.has(topic)) return
    const partitions = this.#grown.get(topic)
    if (partitions === undefined) this.#grown.set(topic, [partition])
    else partitions.push(partition)
  }

  /** A partition that the same change added is told as that alone. */
  partitionChanged(topic: TopicImage, partition: number): void {
    if (this.#created.has(topic) || this.#grown.get(topic)?.includes(partition)) return
    this.#changed.set(topic, (this.#changed.get(topic) ?? new Set()).add(partition))
  }

  brokerChanged(id: number): void {
    this.#brokers.add(id)
  }

  brokerConfigChanged(): void {
    this.#brokerConfigs = true
  }

  configChanged(topic: TopicImage): void {
    if (!this.#created.has(topic)) this.#configured.add(topic)
  }

  /** What was gathered, or null if listeners have nothing to do. */
  build(): MetadataDelta | null {
    const { size } = this.#brokers
    const ofTopics = this.#created.size + this.#deleted.size + this.#grown.size + this.#configured.size
    if (ofTopics + this.#changed.size + size === 0 && !this.#brokerConfigs) return null
    return {
      topicsCreated: [...this.#created],
      topicsDeleted: [...this.#deleted],
      partitionsAdded: [...this.#grown].map(([topic, partitions]) => ({ topic, partitions })),
      configsChanged: [...this.#configured],
      partitionsChanged: [...this.#changed].map(([topic, partitions]) => ({
        topic,
        partitions: [...partitions],
      })),
      brokersChanged: [...this.#brokers],
      brokerConfigsChanged: this.#brokerConfigs,
    }
  }
}
