// @ts-check
// A transactional outbox: what changes and what is to be told others are stored in one step; a relay hands each message
// over exactly once, because the receiver stores the offset of the last message together with what it made of it.

/**
 * @typedef {{ to: string, body: unknown }} Message
 * @typedef {import('cordwood').EngineLog<'journal'>} Log
 * @typedef {{ nextOffset: number, accept(messages: readonly Message[], nextOffset: number): Promise<void> }} Receiver
 */

/** Bytes that make a change as long as the longest position: 16 digits, and a key that is longer by 4. */
const leastChange = 20

/**
 * Stores a change and the messages that follow from it: one append, so all of it is there or nothing. The inbox stores
 * the same messages, and a position in place of the change. A change is never shorter than that: what the inbox could not
 * take is refused here, with `messageTooLarge`, and holds up nothing behind it.
 * @param {Log} log
 * @param {unknown} change
 * @param {readonly Message[]} messages
 */
export function commit(log, change, messages) {
  const records = messages.map((message) => ({ key: 'message', value: JSON.stringify(message) }))
  const value = JSON.stringify(change ?? null).padEnd(leastChange)
  return log.append([{ key: 'change', value }, ...records])
}

/**
 * Hands over what the receiver has not had yet, then what comes, until the log is closed or `signal` is aborted. It may
 * be killed at any moment and started again.
 * @param {Log} log
 * @param {Receiver} receiver
 * @param {{ follow?: boolean, signal?: AbortSignal }} [options]
 */
export async function relay(log, receiver, { follow = true, signal } = {}) {
  const from = receiver.nextOffset
  for await (const batch of log.readBatches({ from, follow, signal })) {
    const messages = batch.records.filter((record) => record.keyText() === 'message')
    await receiver.accept(
      messages.map((record) => /** @type {Message} */ (record.json())),
      batch.lastOffset + 1,
    )
  }
}

/**
 * A receiver that keeps what it got in a log of its own, with the same settings as the other. Any store will do that
 * writes the messages' effects and the offset in one step: a table in the same transaction, a key in the same batch.
 * @implements {Receiver}
 */
export class Inbox {
  #log
  /** Where the log ends, as far as this receiver knows. */
  #end = 0
  nextOffset = 0
  /** @type {Message[]} */
  received = []

  /** @param {Log} log */
  constructor(log) {
    this.#log = log
  }

  /** Reads what an earlier run has received. @param {Log} log */
  static async open(log) {
    const inbox = new Inbox(log)
    for await (const record of log.read()) {
      inbox.#end = record.offset + 1
      if (record.keyText() === 'nextOffset') inbox.nextOffset = Number(record.text())
      else inbox.received.push(/** @type {Message} */ (record.json()))
    }
    return inbox
  }

  /**
   * Takes messages once: a second relay that runs by mistake is refused with `conflict`.
   * @param {readonly Message[]} messages
   * @param {number} nextOffset
   */
  async accept(messages, nextOffset) {
    const records = messages.map((message) => ({ key: 'message', value: JSON.stringify(message) }))
    const position = { key: 'nextOffset', value: String(nextOffset) }
    const ack = await this.#log.append([...records, position], { expectedOffset: this.#end })
    this.#end = ack.lastOffset + 1
    this.received.push(...messages)
    this.nextOffset = nextOffset
  }
}
