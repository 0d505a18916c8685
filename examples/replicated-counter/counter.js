// @ts-check
// A counter in three processes, any one of which may die at any moment. Each of them counts up ten times a second.
//   node counter.js 1 & node counter.js 2 & node counter.js 3
import { setTimeout as sleep } from 'node:timers/promises'
import { startNode } from 'cordwood'

const [id = '1', directory = './counter-data', firstPort = '7001'] = process.argv.slice(2)
const nodeId = Number(id)
const voters = [1, 2, 3].map((each) => ({ id: each, host: '127.0.0.1', port: Number(firstPort) + each - 1 }))
const listen = `127.0.0.1:${Number(firstPort) + nodeId - 1}`
const node = await startNode({ nodeId, directory: `${directory}/${id}`, listen, voters })

let count = 0
/** The last command of each process that was counted: one that is proposed again is not counted again. */
let counted = /** @type {Record<string, string>} */ ({})

const counter = node.stateMachine('counter', {
  apply(command) {
    const { by, number } = /** @type {{ by: string, number: string }} */ (command.json())
    if (counted[by] !== number) count++
    counted[by] = number
    return count
  },
  snapshot: () => JSON.stringify({ count, counted }),
  async restore(chunks) {
    for await (const chunk of chunks) ({ count, counted } = JSON.parse(Buffer.from(chunk).toString()))
  },
})

let isStopping = false
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => (isStopping = true))

for (let number = 0; !isStopping; number++) {
  const command = JSON.stringify({ by: id, number: `${process.pid}-${number}` })
  for (let isDone = false; !isDone && !isStopping; ) {
    try {
      const now = await counter.propose(command)
      console.log(`${id}: counted to ${now}, led by ${counter.leaderId}`)
      isDone = true
    } catch (error) {
      // Nobody leads, or nobody knows whether it was counted: once more, with the same number.
      console.log(`${id}: ${/** @type {Error} */ (error).message}`)
    }
  }
  await sleep(100)
}
console.log(`${id}: ends at ${await counter.read(() => count, { stale: true })}`)
await node.close()
