// @ts-check
// Bank accounts on the event store: commands decide, events are stored, balances are a projection.
//   node accounts.js [directory]
import { pathToFileURL } from 'node:url'
import { ConflictError, EventStore } from './eventStore.js'

/** @typedef {import('./eventStore.js').Event} Event */
/** @typedef {{ isOpen: boolean, cents: number }} Account */

/** @type {Account} */
const noAccount = { isOpen: false, cents: 0 }

/**
 * What an event makes of an account.
 * @param {Account} account
 * @param {Event} event
 * @returns {Account}
 */
export function evolve(account, event) {
  const cents = Number(event.cents ?? 0)
  if (event.type === 'opened') return { isOpen: true, cents: 0 }
  if (event.type === 'deposited') return { ...account, cents: account.cents + cents }
  if (event.type === 'withdrawn') return { ...account, cents: account.cents - cents }
  return account
}

/**
 * Loads an account, lets `decide` say what happens, stores that; does it again if somebody else was faster.
 * @param {EventStore} store
 * @param {string} id
 * @param {(account: Account) => readonly Event[]} decide
 */
export async function change(store, id, decide) {
  for (;;) {
    const { state, version } = await store.load(id, noAccount, evolve)
    const events = decide(state)
    if (events.length === 0) return version
    try {
      return await store.append(id, version, events)
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error
    }
  }
}

/** @param {EventStore} store @param {string} id */
export function open(store, id) {
  return change(store, id, (account) => (account.isOpen ? [] : [{ type: 'opened' }]))
}

/** @param {EventStore} store @param {string} id @param {number} cents */
export function deposit(store, id, cents) {
  return change(store, id, (account) => {
    if (!account.isOpen) throw new Error(`there is no account ${id}`)
    return [{ type: 'deposited', cents }]
  })
}

/** @param {EventStore} store @param {string} id @param {number} cents */
export function withdraw(store, id, cents) {
  return change(store, id, (account) => {
    if (account.cents < cents) throw new Error(`${id} has ${account.cents} cents, not ${cents}`)
    return [{ type: 'withdrawn', cents }]
  })
}

/** The balance of every account, rebuilt from the events. @param {EventStore} store */
export async function balances(store) {
  /** @type {Map<string, Account>} */
  const accounts = new Map()
  await store.replay(({ id, event }) => accounts.set(id, evolve(accounts.get(id) ?? noAccount, event)))
  return new Map([...accounts].map(([id, { cents }]) => [id, cents]))
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const store = await EventStore.open(process.argv[2] ?? './accounts-data')
  try {
    await open(store, 'alice')
    await open(store, 'bob')
    await Promise.all([
      deposit(store, 'alice', 500),
      deposit(store, 'alice', 250),
      deposit(store, 'bob', 100),
    ])
    await withdraw(store, 'alice', 50)
    console.log(Object.fromEntries(await balances(store)))
  } finally {
    await store.close()
  }
}
