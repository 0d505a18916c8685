// Produces for ever with kafkajs, acks=all, idempotent: producer.mjs BOOTSTRAP TOPIC PARTITIONS NAME BATCHES_PER_SECOND
// A line per acknowledged batch: {"partition":…,"baseOffset":…,"from":…,"count":…} and one per batch in doubt: {"doubt":…,"error":…}.
// Values are NAME-NUMBER-CHECKSUM; every partition has numbers of its own.
import { Kafka, logLevel } from 'kafkajs'
import { textOf } from './values.mjs'

const [bootstrap, topic, partitions, name, rate] = process.argv.slice(2)
const perBatch = 5
const brokers = bootstrap.split(',')
const kafka = new Kafka({
  clientId: name,
  brokers,
  logLevel: logLevel.NOTHING,
  connectionTimeout: 1000,
  requestTimeout: 5000,
  retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 40 },
})
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)
let isEnding = false
process.on('SIGTERM', () => {
  isEnding = true
})
process.stdin.resume()
process.stdin.on('end', () => process.exit(0))

async function produceTo(partition) {
  let number = 0
  let producer = null
  while (!isEnding) {
    const from = number
    number += perBatch
    const messages = Array.from({ length: perBatch }, (_, index) => ({
      partition,
      value: textOf(name, partition, from + index),
    }))
    const began = performance.now()
    try {
      if (producer === null) {
        // A new one after every failure: what is in doubt is never sent again.
        producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1, allowAutoTopicCreation: false })
        await producer.connect()
      }
      const [{ baseOffset }] = await producer.send({ topic, acks: -1, timeout: 10_000, messages })
      say({
        partition,
        baseOffset: Number(baseOffset),
        from,
        count: perBatch,
        ms: Math.round(performance.now() - began),
      })
    } catch (error) {
      say({ doubt: partition, from, error: error.message })
      await producer?.disconnect().catch(() => {})
      producer = null
    }
    await new Promise((resolve) =>
      setTimeout(resolve, Math.max(0, (1000 * partitions) / rate - (performance.now() - began))),
    )
  }
  await producer?.disconnect().catch(() => {})
}

await Promise.all(Array.from({ length: Number(partitions) }, (_, partition) => produceTo(partition)))
process.exit(0)
