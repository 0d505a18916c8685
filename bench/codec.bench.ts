import { Bench } from 'tinybench'
import { apiKeys } from '../src/protocol/apiKeys.ts'
import { decode, encode } from '../src/protocol/codec.ts'
import { decodeRequestHeader, encodeRequest, encodeResponse } from '../src/protocol/headers.ts'
import { Reader } from '../src/protocol/reader.ts'
import type { InferInput, Message } from '../src/protocol/schema.ts'

/**
 * What does the codec cost per message on the hot path? Prints nanoseconds, median with p10 and p90; beside the
 * Fetch request stands a reader written by hand for that one message and version, which is the floor.
 * Node 22.18 and later run this file as it is.
 */

const batch = new Uint8Array(1024).fill(7)
const produce = (partitions: number) => ({
  acks: -1,
  timeoutMs: 30_000,
  topicData: [
    {
      name: 'birdstrikes',
      partitionData: Array.from({ length: partitions }, (_, index) => ({ index, records: batch })),
    },
  ],
})
const fetch = (partitions: number) => ({
  maxWaitMs: 500,
  minBytes: 1,
  maxBytes: 52_428_800,
  topics: [
    {
      topic: 'birdstrikes',
      partitions: Array.from({ length: partitions }, (_, partition) => ({
        partition,
        currentLeaderEpoch: 1,
        fetchOffset: 123_456_789 + partition,
        partitionMaxBytes: 1_048_576,
      })),
    },
  ],
})
const file = { path: 'segment' }
const fetched = (partitions: number) => ({
  responses: [
    {
      topic: 'birdstrikes',
      partitions: Array.from({ length: partitions }, (_, partitionIndex) => ({
        partitionIndex,
        highWatermark: 123_456_999,
        lastStableOffset: 123_456_999,
        logStartOffset: 0,
        abortedTransactions: null,
        records: { lengthBytes: 65_536, parts: [{ file, position: 4096, lengthBytes: 65_536 }] },
      })),
    },
  ],
})
const metadata = (partitions: number) => ({
  brokers: [{ nodeId: 1, host: '127.0.0.1', port: 9092 }],
  clusterId: 'AAAAAAAAAAAAAAAAAAAAAQ',
  controllerId: 1,
  topics: [
    {
      name: 'birdstrikes',
      partitions: Array.from({ length: partitions }, (_, partitionIndex) => ({
        partitionIndex,
        leaderId: 1,
        leaderEpoch: 1,
        replicaNodes: [1],
        isrNodes: [1],
        offlineReplicas: [],
      })),
    },
  ],
})

const bench = new Bench({ time: 500, warmupTime: 250, retainSamples: true })

function decoding<M extends Message>(name: string, schema: M, version: number, value: InferInput<M>): void {
  const bytes = encode(schema, version, value).slice()
  bench.add(`decode ${name} v${version}, ${bytes.length} B`, () => {
    decode(schema, version, bytes)
  })
}

for (const version of [7, 9])
  decoding('Produce request, 1 partition', apiKeys.produce.request, version, produce(1))
decoding('Produce request, 100 partitions', apiKeys.produce.request, 9, produce(100))
for (const version of [11, 12])
  decoding('Fetch request, 1 partition', apiKeys.fetch.request, version, fetch(1))
decoding('Fetch request, 100 partitions', apiKeys.fetch.request, 12, fetch(100))
const fetchBytes = encode(apiKeys.fetch.request, 12, fetch(100)).slice()
bench.add('the same, by hand', () => {
  readFetchByHand(fetchBytes)
})
decoding('Metadata response, 1,000 partitions', apiKeys.metadata.response, 12, metadata(1000))

const frame = Buffer.concat(
  encodeRequest(apiKeys.fetch, 12, 7, 'rdkafka', fetch(1)) as Uint8Array[],
).subarray(4)
bench.add('decode request header v2', () => {
  decodeRequestHeader(frame)
})

for (const [partitions, version] of [
  [1, 11],
  [1, 12],
  [100, 12],
] as const) {
  const value = fetched(partitions)
  bench.add(`encode Fetch response v${version} with ranges, ${partitions} partitions`, () => {
    encodeResponse(apiKeys.fetch, version, 7, value)
  })
}
const produced = {
  responses: [{ name: 'birdstrikes', partitionResponses: [{ index: 0, baseOffset: 123_456_789 }] }],
}
bench.add('encode Produce response v9, 1 partition', () => {
  encodeResponse(apiKeys.produce, 9, 7, produced)
})
const described = metadata(1000)
bench.add('encode Metadata response v12, 1,000 partitions', () => {
  encodeResponse(apiKeys.metadata, 12, 7, described)
})

/** Fetch version 12 without unknown tags or limits: field after field into object literals. */
function readFetchByHand(bytes: Uint8Array): unknown {
  const reader = new Reader(bytes)
  const text = () => reader.text(reader.uvarint() - 1)
  const request = {
    clusterId: null,
    replicaId: reader.int32(),
    maxWaitMs: reader.int32(),
    minBytes: reader.int32(),
    maxBytes: reader.int32(),
    isolationLevel: reader.int8(),
    sessionId: reader.int32(),
    sessionEpoch: reader.int32(),
    topics: new Array(reader.uvarint() - 1),
    forgottenTopicsData: [],
    rackId: '',
  }
  for (let i = 0; i < request.topics.length; i++) {
    const topic = { topic: text(), topicId: '', partitions: new Array(reader.uvarint() - 1) }
    for (let j = 0; j < topic.partitions.length; j++) {
      topic.partitions[j] = {
        partition: reader.int32(),
        currentLeaderEpoch: reader.int32(),
        fetchOffset: reader.int64(),
        lastFetchedEpoch: reader.int32(),
        logStartOffset: reader.int64(),
        partitionMaxBytes: reader.int32(),
        replicaDirectoryId: '',
        highWatermark: Number.MAX_SAFE_INTEGER,
      }
      reader.uvarint()
    }
    reader.uvarint()
    request.topics[i] = topic
  }
  reader.uvarint()
  request.rackId = text()
  reader.uvarint()
  return request
}

await bench.run()
console.log(`Node ${process.version}, ${process.arch}; nanoseconds per message`)
console.table(
  bench.tasks.map(({ name, result }) => {
    if (result.state !== 'completed') throw new Error(`${name} has no result`)
    const samples = result.latency.samples ?? []
    const ns = (share: number) => Math.round((samples[Math.floor(samples.length * share)] ?? 0) * 1e6)
    return { message: name, median: ns(0.5), p10: ns(0.1), p90: ns(0.9) }
  }),
)
