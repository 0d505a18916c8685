// @ts-check

/** A state machine that sells tickets: each proposal is a customer, and gets the next number. */
export class Tickets {
  /** @type {string[]} */
  owners = []

  /** @param {import('cordwood').LogRecord} command */
  apply(command) {
    return this.owners.push(command.text() ?? '') - 1
  }

  snapshot() {
    return [JSON.stringify(this.owners)]
  }

  /** @param {AsyncIterable<Uint8Array>} chunks */
  async restore(chunks) {
    const parts = []
    for await (const chunk of chunks) parts.push(chunk)
    this.owners = JSON.parse(Buffer.concat(parts).toString())
  }
}
