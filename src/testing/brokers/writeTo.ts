import type { BrokerOperation } from './brokerOperations.ts'

/** One record that is written to a partition beside what a run has planned. */
export function writeTo(topic: number, partition: number, number: number): BrokerOperation {
  return {
    number: 1_000_000 + number,
    atMs: 0,
    client: 0,
    kind: 'produce',
    topic,
    partition,
    node: 1,
    records: 1,
    valueBytes: 10,
    isIdempotent: false,
    batches: 1,
    replicas: 3,
  }
}
