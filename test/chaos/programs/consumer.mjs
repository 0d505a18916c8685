// Reads for ever with a kafkajs group: consumer.mjs BOOTSTRAP TOPIC GROUP. A line per batch: {"partition":…,"from":offset,"values":[…]}.
import { Kafka, logLevel } from 'kafkajs'

const [bootstrap, topic, groupId] = process.argv.slice(2)
const kafka = new Kafka({
  clientId: groupId,
  brokers: bootstrap.split(','),
  logLevel: logLevel.NOTHING,
  connectionTimeout: 1000,
  requestTimeout: 10_000,
  retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 1000 },
})
process.stdin.resume()
process.stdin.on('end', () => process.exit(0))
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)

for (;;) {
  const consumer = kafka.consumer({ groupId, sessionTimeout: 10_000, heartbeatInterval: 500 })
  const crashed = new Promise((resolve) =>
    consumer.on('consumer.crash', ({ payload }) => payload.restart || resolve()),
  )
  try {
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({
      eachBatch: async ({ batch, resolveOffset, heartbeat }) => {
        for (const { offset, value } of batch.messages) {
          say({ partition: batch.partition, offset: Number(offset), value: value.toString() })
          resolveOffset(offset)
        }
        await heartbeat()
      },
    })
    await crashed
  } catch (error) {
    say({ error: error.message })
  }
  await consumer.disconnect().catch(() => {})
  await new Promise((resolve) => setTimeout(resolve, 200))
}
