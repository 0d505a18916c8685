// @ts-check
// Fuzzes the failover of a state machine: three nodes in a simulated world, and whatever faults fast-check draws.
//   node fuzz.js [runs]
import { pathToFileURL } from 'node:url'
import { startNode } from 'cordwood'
import { clusters } from 'cordwood/testing'
import fc from 'fast-check'
import { Tickets } from './tickets.js'

const voters = [1, 2, 3].map((id) => ({ id, host: `node-${id}`, port: 9092 }))

/** A ticket that was sold stays sold, on every node, whatever fails. */
export const failover = (makeTickets = () => new Tickets()) =>
  fc.asyncProperty(clusters({ nodes: 3, durationMs: 3000 }), async (plan) => {
    const world = plan.start(async ({ nodeId, runtime }) => {
      const listen = `node-${nodeId}:9092`
      const node = await startNode({ nodeId, voters, listen, directory: '/data', runtime })
      const tickets = makeTickets()
      return { tickets, machine: node.stateMachine('tickets', tickets), close: () => node.close() }
    })
    /** @type {Map<number, string>} */
    const sold = new Map()
    for (let customer = 0; customer < 30; customer++) {
      const running = world.node(1 + (customer % 3)).running
      const sale = running?.machine.propose(`customer ${customer}`)
      sale?.then((ticket) => sold.set(ticket, `customer ${customer}`)).catch(() => {})
      await world.advance(100)
    }
    world.heal()
    for (const { id } of voters) {
      await world.runUntil(() => world.node(id).running !== null, 10_000)
      const { machine, tickets } = /** @type {any} */ (world.node(id).running)
      const owners = await world.settle(machine.read(() => tickets.owners))
      for (const [ticket, customer] of sold) {
        if (owners[ticket] !== customer)
          throw new Error(`node ${id} says that ${owners[ticket]} has ticket ${ticket}, not ${customer}`)
      }
    }
  })

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await fc.assert(failover(), { numRuns: Number(process.argv[2] ?? 100) })
  console.log('every ticket that was sold stayed sold')
}
