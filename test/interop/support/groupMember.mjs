// A member of a consumer group, as a process of its own: `node groupMember.mjs BOOTSTRAP TOPIC GROUP`. Sends its parent
// { joined: true } whenever it has joined, { read: 'PARTITION/OFFSET' } for every record and { crash: MESSAGE } when it has stopped
// for good; it is ended from outside.
// kafkajs 2.2.4 spins in microtasks for ever when it is told to stop while it takes note of other brokers, which no
// timeout of the process that it happens in can end.
import { Kafka, logLevel } from 'kafkajs'

const [bootstrap, topic, groupId] = process.argv.slice(2)
const kafka = new Kafka({ clientId: 'interop', brokers: bootstrap.split(','), logLevel: logLevel.NOTHING })
// kafkajs comes back as a new member after an error, and the group waits for the old one as long as its session lasts.
const consumer = kafka.consumer({ groupId, sessionTimeout: 3_000, heartbeatInterval: 300 })
consumer.on('consumer.crash', ({ payload }) => {
  if (!payload.restart) process.send({ crash: String(payload.error) })
})
consumer.on('consumer.group_join', () => process.send({ joined: true }))
process.on('disconnect', () => process.exit())
for (const event of ['uncaughtException', 'unhandledRejection']) {
  process.on(event, (error) =>
    process.send({ crash: `${event}: ${error?.stack ?? error}` }, () => process.exit(1)),
  )
}
await consumer.connect()
await consumer.subscribe({ topic, fromBeginning: true })
await consumer.run({
  autoCommitInterval: 200,
  eachMessage: async ({ partition, message }) => {
    process.send({ read: `${partition}/${message.offset}` })
  },
})
