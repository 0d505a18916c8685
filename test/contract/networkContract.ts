import { join } from 'node:path'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { partBytes, type SendPart } from '../../src/model/fileRange.ts'
import type { DiskFile } from '../../src/runtime/disk.ts'
import type { Connection, Network } from '../../src/runtime/network.ts'
import type { Runtime } from '../../src/runtime/runtime.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import type { CreateNetwork } from './implementations.ts'

/** What every `Network` has to do together with the `Disk` of its runtime, said through the seam alone. */
export function networkContract(create: CreateNetwork): void {
  test('what is sent comes back from an echo', async () => {
    const { client, server } = await pair(create())
    server.onData = (chunk) => server.connection.send([Buffer.from(chunk)])
    client.connection.send([text('hello '), text('world')])
    await client.receives(11)
    expect(client.received.toString()).toBe('hello world')
  })

  test('bytes and file ranges arrive in the order in which they were sent', async () => {
    const runtime = create()
    const { file, bytes } = await fileOf(runtime, 3 << 20)
    const { client, server } = await pair(runtime)
    const parts: SendPart[] = [
      text('head'),
      { file, position: 10, lengthBytes: 5 },
      { file, position: 0, lengthBytes: 2 << 20 },
      text('between'),
      { file, position: 1 << 20, lengthBytes: 40_000 },
      new Uint8Array(300_000).fill(7),
      { file, position: 99, lengthBytes: 0 },
      { file, position: (3 << 20) - 1, lengthBytes: 1 },
    ]
    server.connection.send(parts)
    server.connection.send([text('tail')])
    const expected = Buffer.concat([...parts.map((part) => flat(part, bytes)), text('tail')])
    await client.receives(expected.length)
    expect(client.received.equals(expected)).toBe(true)
  })

  test('any messages on several connections arrive whole and in order', async () => {
    const runtime = create()
    const { file, bytes } = await fileOf(runtime, 1 << 20)
    const part = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.integer({ min: 0, max: 200_000 }).map((length) => new Uint8Array(length).fill(length)),
      fc
        .tuple(fc.integer({ min: 0, max: 1 << 19 }), fc.integer({ min: 0, max: 1 << 19 }))
        .map(([position, lengthBytes]) => ({ file, position, lengthBytes })),
      fc
        .tuple(fc.integer({ min: 0, max: 1 << 19 }), fc.integer({ min: 0, max: 3000 }))
        .map(([position, lengthBytes]) => ({ file, position, lengthBytes })),
    )
    const messages = fc.array(fc.array(part, { maxLength: 5 }), { maxLength: 6 })
    await fc.assert(
      fc.asyncProperty(fc.array(messages, { minLength: 1, maxLength: 3 }), async (connections) => {
        await Promise.all(
          connections.map(async (sent) => {
            const { client, server } = await pair(runtime)
            const expected = Buffer.concat(sent.flat().map((each) => flat(each, bytes)))
            for (const message of sent) server.connection.send(message)
            await client.receives(expected.length)
            expect(client.received.equals(expected)).toBe(true)
            server.connection.end()
            await client.closed
            await server.closed
          }),
        )
      }),
      { numRuns: 25 },
    )
  })

  test('a reader that does not read holds nobody else up, and gets everything later', async () => {
    const runtime = create()
    const { file, bytes } = await fileOf(runtime, 8 << 20)
    const slow = await pair(runtime)
    const quick = await pair(runtime)
    slow.client.connection.pause()
    for (let round = 0; round < 4; round++) {
      slow.server.connection.send([text('x'), { file, position: 0, lengthBytes: 8 << 20 }])
    }
    expect(slow.server.connection.unsentBytes).toBeGreaterThan(8 << 20)
    quick.server.connection.send([{ file, position: 0, lengthBytes: 8 << 20 }])
    await quick.client.receives(8 << 20)
    expect(quick.client.received.equals(bytes)).toBe(true)
    expect(slow.server.drains).toBe(0)
    slow.client.connection.resume()
    const one = Buffer.concat([text('x'), bytes])
    await slow.client.receives(4 * one.length)
    expect(slow.client.received.equals(Buffer.concat([one, one, one, one]))).toBe(true)
    await slow.server.drained()
    expect(slow.server.drains).toBe(1)
    expect(slow.server.connection.unsentBytes).toBe(0)
  })

  test('unsentBytes counts bytes that the kernel has not taken', async () => {
    const { client, server } = await pair(create())
    client.connection.pause()
    server.connection.send([text('small')])
    expect(server.connection.unsentBytes).toBe(0)
    server.connection.send([new Uint8Array(32 << 20)])
    const before = server.connection.unsentBytes
    expect(before).toBeGreaterThan(16 << 20)
    server.connection.send([new Uint8Array(1000)])
    // The kernel may have taken some more meanwhile, from another thread.
    expect(server.connection.unsentBytes).toBeLessThanOrEqual(before + 1000)
    expect(server.connection.unsentBytes).toBeGreaterThan(16 << 20)
    client.connection.resume()
    await server.drained()
    expect(server.connection.unsentBytes).toBe(0)
    await client.receives(5 + (32 << 20) + 1000)
  })

  test('a range that is longer than its file closes the connection with an error', async () => {
    const runtime = create()
    const { file } = await fileOf(runtime, 100_000)
    for (const range of [
      { file, position: 0, lengthBytes: 100_001 },
      { file, position: 99_990, lengthBytes: 20 },
      { file, position: 200_000, lengthBytes: 1 },
    ]) {
      const { client, server } = await pair(runtime)
      server.connection.send([text('header'), range])
      expect(await server.closed).toMatchObject({ code: 'diskFailed' })
      await client.closed
      expect(client.received.length).toBeLessThanOrEqual(6 + range.lengthBytes - 1)
    }
  })

  test('a range of a file that is not there closes the connection with an error', async () => {
    const runtime = create()
    const file = runtime.disk.file(join(temporaryDirectory(), 'none'))
    const { client, server } = await pair(runtime)
    server.connection.send([{ file, position: 0, lengthBytes: 10 }])
    expect(await server.closed).toMatchObject({ code: 'notFound' })
    await client.closed
    expect(client.received).toHaveLength(0)
  })

  test('a file may be closed while a range of it is being sent', async () => {
    const runtime = create()
    const { file, bytes } = await fileOf(runtime, 8 << 20)
    const { client, server } = await pair(runtime)
    client.connection.pause()
    server.connection.send([{ file, position: 0, lengthBytes: 8 << 20 }])
    await file.close()
    client.connection.resume()
    await client.receives(8 << 20)
    expect(client.received.equals(bytes)).toBe(true)
  })

  test('nothing is read while paused, everything after resume', async () => {
    const { client, server } = await pair(create())
    server.connection.pause()
    client.connection.send([text('early')])
    // A second connection shows that time has passed for the network.
    const other = await pair(create())
    other.client.connection.send([text('x')])
    await other.server.receives(1)
    expect(server.received).toHaveLength(0)
    server.connection.resume()
    await server.receives(5)
    expect(server.received.toString()).toBe('early')
  })

  test('a connection reads nothing before start and loses nothing by it', async () => {
    const runtime = create()
    let accepted: Connection | null = null
    const listener = await runtime.network.listen(anyPort, (connection) => (accepted = connection))
    const client = await connect(runtime.network, listener.address)
    client.connection.send([text('early')])
    client.connection.end()
    const late = new Side(accepted!)
    await late.receives(5)
    expect(late.received.toString()).toBe('early')
    late.connection.destroy()
    await listener.close()
  })

  test('end sends everything that is queued before it closes', async () => {
    const runtime = create()
    const { file, bytes } = await fileOf(runtime, 4 << 20)
    const { client, server } = await pair(runtime)
    client.connection.pause()
    server.connection.send([text('a'), { file, position: 0, lengthBytes: 4 << 20 }, text('z')])
    server.connection.end()
    server.connection.send([text('never')])
    client.connection.resume()
    await client.ended
    expect(client.received.equals(Buffer.concat([text('a'), bytes, text('z')]))).toBe(true)
    client.connection.end()
    expect(await server.closed).toBeNull()
    expect(await client.closed).toBeNull()
  })

  test('end with nothing queued closes both sides without an error', async () => {
    const { client, server } = await pair(create())
    server.connection.end()
    await client.ended
    expect(await client.closed).toBeNull()
    expect(await server.closed).toBeNull()
  })

  test('the side that has been told of the end may still answer', async () => {
    const { client, server } = await pair(create())
    server.onEnd = () => {
      server.connection.send([text('bye')])
      server.connection.end()
    }
    client.connection.send([text('last')])
    client.connection.end()
    await server.closed
    expect(server.received.toString()).toBe('last')
    expect(await client.closed).toBeNull()
  })

  test('destroy closes the other side, and later sends are ignored', async () => {
    const { client, server } = await pair(create())
    server.connection.send([new Uint8Array(32 << 20)])
    server.connection.destroy()
    server.connection.send([text('never')])
    expect(server.connection.unsentBytes).toBe(0)
    expect(await server.closed).toBeNull()
    await client.ended
    client.connection.destroy()
    await client.closed
  })

  test('a send to a reader that has gone away ends in close, not in an exception', async () => {
    const { client, server } = await pair(create())
    client.connection.destroy()
    await client.closed
    for (let round = 0; round < 200; round++) server.connection.send([new Uint8Array(64 << 10)])
    server.connection.end()
    await server.closed
    expect(server.connection.unsentBytes).toBe(0)
  })

  test('connecting where nobody listens is a networkException', async () => {
    const { network } = create()
    const listener = await network.listen(anyPort, () => {})
    await listener.close()
    await expect(network.connect(listener.address, 1000)).rejects.toMatchObject({ code: 'networkException' })
  })

  test('an address that is taken is addressInUse', async () => {
    const { network } = create()
    const listener = await network.listen(anyPort, () => {})
    expect(listener.address.port).toBeGreaterThan(0)
    await expect(network.listen(listener.address, () => {})).rejects.toMatchObject({ code: 'addressInUse' })
    await listener.close()
    const again = await network.listen(listener.address, () => {})
    await again.close()
  })

  test('a listener that is closed leaves its connections alone', async () => {
    const { client, server, listener } = await pair(create())
    await listener.close()
    client.connection.send([text('still here')])
    await server.receives(10)
    expect(server.received.toString()).toBe('still here')
  })

  test('each side knows the address of the other', async () => {
    const { client, server, listener } = await pair(create())
    expect(client.connection.remote).toEqual(listener.address)
    expect(server.connection.remote.host).toBe('127.0.0.1')
    expect(server.connection.remote.port).toBeGreaterThan(0)
  })
}

const anyPort = { host: '127.0.0.1', port: 0 }

/** One end of a connection, with everything it has been told. */
class Side {
  readonly connection: Connection
  readonly closed: Promise<Error | null>
  readonly ended: Promise<void>
  onData: (chunk: Uint8Array) => void = () => {}
  onEnd: () => void = () => this.connection.end()
  drains = 0
  #chunks: Buffer[] = []
  #receivedBytes = 0
  #isClosed = false
  #wake: () => void = () => {}

  constructor(connection: Connection) {
    this.connection = connection
    onTestFinished(() => connection.destroy())
    let ended = (): void => {}
    this.ended = new Promise((resolve) => (ended = resolve))
    this.closed = new Promise((resolve) => {
      connection.start({
        data: (chunk) => {
          this.#chunks.push(Buffer.from(chunk))
          this.#receivedBytes += chunk.length
          this.onData(chunk)
          this.#wake()
        },
        end: () => {
          ended()
          this.onEnd()
        },
        drain: () => {
          this.drains++
          this.#wake()
        },
        close: (error) => {
          this.#isClosed = true
          resolve(error)
          ended()
          this.#wake()
        },
      })
    })
  }

  get received(): Buffer {
    return Buffer.concat(this.#chunks)
  }

  /** Resolves once `count` bytes in all have come. */
  async receives(count: number): Promise<void> {
    await this.#until(() => this.#receivedBytes >= count)
  }

  /** Resolves after the first drain. */
  async drained(): Promise<void> {
    await this.#until(() => this.drains > 0)
  }

  async #until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      if (this.#isClosed) throw (await this.closed) ?? new Error('closed before it was so')
      await new Promise<void>((wake) => (this.#wake = wake))
    }
  }
}

async function connect(network: Network, address: { host: string; port: number }): Promise<Side> {
  return new Side(await network.connect(address, 5000))
}

/** Two ends of a connection. */
export async function pair({ network }: Pick<Runtime, 'network'>) {
  let accepted: (side: Side) => void = () => {}
  const server = new Promise<Side>((resolve) => (accepted = resolve))
  const listener = await network.listen(anyPort, (connection) => accepted(new Side(connection)))
  onTestFinished(() => listener.close())
  const client = await connect(network, listener.address)
  return { client, server: await server, listener }
}

async function fileOf(
  runtime: Pick<Runtime, 'disk'>,
  lengthBytes: number,
): Promise<{ file: DiskFile; bytes: Buffer }> {
  const file = runtime.disk.file(join(temporaryDirectory(), 'log'))
  const bytes = Buffer.alloc(lengthBytes)
  for (let at = 0; at < lengthBytes; at += 4) bytes.writeUInt32LE(Math.imul(at, 2654435761) >>> 0, at)
  await runtime.disk.submit([{ file, position: 0, parts: [bytes], sync: 'none' }])
  return { file, bytes }
}

function flat(part: SendPart, bytes: Buffer): Uint8Array {
  return part instanceof Uint8Array ? part : bytes.subarray(part.position, part.position + partBytes(part))
}

function text(value: string): Uint8Array {
  return Buffer.from(value, 'latin1')
}
