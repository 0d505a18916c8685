import { EngineError } from '../../model/errors.ts'
import type { BrokerClient } from './brokerClient.ts'
import { type BrokerLink, requestMs } from './brokerLink.ts'
import { writeTo } from './writeTo.ts'

/**
 * Whether a partition of the topic `t<topic>` takes a write within `patienceMs`. One that `mayBeGone` may also turn out to be
 * deleted: a node that did not run for a while carries out what its client has long given up, and a name may mean another
 * topic by then. `next` numbers the writes.
 */
export async function takesWrite(
  client: BrokerClient,
  { topic, partition, mayBeGone }: { topic: number; partition: number; mayBeGone: boolean },
  next: () => number,
  patienceMs: number,
): Promise<boolean> {
  const { link } = client
  const { world } = link
  const untilMs = world.nowMs + patienceMs
  while (world.nowMs < untilMs) {
    if (await world.settle(client.write(writeTo(topic, partition, next())), patienceMs)) return true
    if (mayBeGone && (await world.settle(isGone(link, `t${topic}`), patienceMs))) return true
    await world.advance(200)
  }
  return false
}

/** Whether every node answers that there is no topic of that name. */
async function isGone(link: BrokerLink, name: string): Promise<boolean> {
  try {
    for (const node of link.world.nodes.keys()) {
      const { brokers, topics } = await link.kafka.request(node, 'metadata', { topics: null }, requestMs)
      if (brokers.length === 0 || topics.some((topic) => topic.name === name)) return false
    }
    return true
  } catch (error) {
    if (!(error instanceof EngineError)) throw error
    return false
  }
}
