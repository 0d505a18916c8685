// @ts-check
// A shop: orders are stored together with the mails that they cause; the mailer gets each mail once.
//   node shop.js [directory] [orders]
import { openEngine } from 'cordwood'
import { commit, Inbox, relay } from './outbox.js'

const [directory = './shop-data', count = '3'] = process.argv.slice(2)
const engine = await openEngine({ directory })
try {
  const orders = await engine.log('orders')
  const mailer = await Inbox.open(await engine.log('mailer'))
  const done = new AbortController()
  const relaying = relay(orders, mailer, { signal: done.signal }).catch((error) => {
    if (error !== done.signal.reason) throw error
  })
  const first = mailer.received.length
  for (let index = 0; index < Number(count); index++) {
    const order = `order ${first + index}`
    await commit(orders, { order, state: 'paid' }, [
      { to: 'customer@example.org', body: `${order} is on its way` },
    ])
  }
  done.abort()
  await relaying
  await relay(orders, mailer, { follow: false }) // What the abort has left.
  console.log(`${mailer.received.length} mails, the last: ${JSON.stringify(mailer.received.at(-1))}`)
} finally {
  await engine.close()
}
