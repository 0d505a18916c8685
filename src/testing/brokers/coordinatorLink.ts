import { EngineError } from '../../model/errors.ts'
import type { Uuid } from '../../model/uuid.ts'
import type { ApiName } from '../../protocol/apiKeys.ts'
import { type BrokerLink, requestMs } from './brokerLink.ts'
import { errorOf, type RequestOf, type ResponseOf } from './simKafka.ts'

/** How the offsets of groups are asked for: where their coordinator is, and whose offsets they are. */
export class CoordinatorLink {
  readonly link: BrokerLink
  readonly group: string
  /** Who was the coordinator at the last look; null to look again. */
  #node: number | null = null

  constructor(link: BrokerLink, group: string) {
    this.link = link
    this.group = group
  }

  /** Asks the coordinator. Whoever does not answer is not asked again before another look, as Kafka's clients do. */
  async ask<N extends ApiName>(name: N, body: RequestOf<N>, timeoutMs: number): Promise<ResponseOf<N>> {
    this.#node ??= await this.#find()
    try {
      return await this.link.kafka.request(this.#node, name, body, timeoutMs)
    } catch (error) {
      this.#node = null
      throw error
    }
  }

  /** The error that a number in an answer stands for, null for none; it may say that another node is the coordinator. */
  errorOf(code: number): EngineError | null {
    const error = errorOf(code)
    if (error?.code === 'notCoordinator' || error?.code === 'coordinatorNotAvailable') this.#node = null
    return error
  }

  /** The id of the topic whose offsets are committed: nobody deletes it. */
  async topicId(): Promise<Uuid> {
    if (!this.link.topics.has('t0')) await this.link.refresh()
    const topic = this.link.topics.get('t0')
    if (topic === undefined) throw new EngineError('unknownTopicOrPartition', 't0 is not there yet')
    return topic.id
  }

  /** Commits where a partition of that topic stands, for a member if the group has such; the number of the error, 0 for none. */
  async commit(
    topicId: Uuid,
    partitionIndex: number,
    committedOffset: number,
    member: { readonly generationIdOrMemberEpoch?: number; readonly memberId?: string } = {},
  ): Promise<number> {
    const partitions = [{ partitionIndex, committedOffset, committedMetadata: null }]
    const body = { groupId: this.group, ...member, topics: [{ topicId, partitions }] }
    const { topics } = await this.ask('offsetCommit', body, requestMs)
    return topics[0]!.partitions[0]!.errorCode
  }

  /** Where a partition of that topic stands; an error's number in its place, or null for an answer that has nothing of it. */
  async committed(
    topicId: Uuid,
    partition: number,
  ): Promise<{ readonly errorCode: number; readonly offset: number | null }> {
    const groups = [{ groupId: this.group, topics: [{ topicId, partitionIndexes: [partition] }] }]
    const answer = (await this.ask('offsetFetch', { groups }, requestMs)).groups[0]!
    const found = answer.topics[0]?.partitions[0]
    if (answer.errorCode !== 0 || found === undefined) return { errorCode: answer.errorCode, offset: null }
    return { errorCode: found.errorCode, offset: found.committedOffset }
  }

  async #find(): Promise<number> {
    const answer = await this.link.anybody('findCoordinator', { coordinatorKeys: [this.group] })
    const { nodeId, errorCode } = answer.coordinators[0]!
    const error = errorOf(errorCode)
    if (error !== null) throw error
    return nodeId
  }
}
