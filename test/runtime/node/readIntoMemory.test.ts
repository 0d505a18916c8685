import { connect, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import type { Connection } from '../../../src/runtime/network.ts'
import { NodeNetwork } from '../../../src/runtime/node/nodeNetwork.ts'

/** A connection that reads into `memory`, and the socket at its other side. */
async function world(memory: () => Uint8Array | null) {
  const accepted: Connection[] = []
  let wake = (): void => {}
  const network = new NodeNetwork()
  const listener = await network.listen({ host: '127.0.0.1', port: 0 }, (connection) => {
    accepted.push(connection)
    wake()
  })
  const client: Socket = connect(listener.address.port, '127.0.0.1')
  onTestFinished(async () => {
    client.destroy()
    accepted[0]?.destroy()
    await listener.close()
  })
  while (accepted.length === 0) await new Promise<void>((resolve) => (wake = resolve))
  const connection = accepted[0]!
  const received: Buffer[] = []
  const chunks: Uint8Array[] = []
  connection.start({
    data: (chunk) => {
      received.push(Buffer.from(chunk))
      chunks.push(chunk)
      wake()
    },
    memory,
    end: () => {},
    drain: () => {},
    close: () => {},
  })
  const arrived = async (bytes: number): Promise<Buffer> => {
    while (received.reduce((sum, { length }) => sum + length, 0) < bytes) {
      await new Promise<void>((resolve) => (wake = resolve))
    }
    return Buffer.concat(received)
  }
  return { client, connection, chunks, arrived }
}

test('bytes are read to where the owner wants them, from one read to the next', async () => {
  const memory = Buffer.alloc(300_000)
  let at = 0
  const { client, chunks, arrived } = await world(() => memory.subarray(at))
  const sent = Buffer.from(Array.from({ length: 200_000 }, (_, index) => index % 251))
  for (; at < sent.length; at += 50_000) {
    client.write(sent.subarray(at, at + 50_000))
    await arrived(at + 50_000)
  }
  expect(await arrived(sent.length)).toEqual(sent)
  expect(chunks.some(({ buffer }) => buffer === memory.buffer)).toBe(true)
})

test('memory that has been forgotten is not written to any more', async () => {
  const memory = Buffer.alloc(100_000)
  let isLent = true
  let before = 0
  const { client, connection, arrived } = await world(() => (isLent ? memory : null))
  // The first read was begun before there was an owner.
  for (let bytes = 1000; memory[0] !== 1; bytes += 1000) {
    client.write(Buffer.alloc(1000, 1))
    before = (await arrived(bytes)).length
  }
  isLent = false
  connection.forgetMemory!()
  memory.fill(7)
  client.write(Buffer.alloc(1000, 2))
  const received = await arrived(before + 1000)
  expect(received.subarray(before)).toEqual(Buffer.alloc(1000, 2))
  expect(memory.every((byte) => byte === 7)).toBe(true)
})
