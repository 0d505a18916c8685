import { connect, createServer, type Socket } from 'node:net'
import { EngineError } from '../../model/errors.ts'
import type { Address, Connection, Listener, Network } from '../network.ts'
import { adoptHandle, NodeConnection, sharedReading } from './connection.ts'
import { descriptorsForConnections } from './descriptors.ts'
import { type Sender, type SenderEvents, SocketSender } from './sender.ts'
import { networkError } from './systemErrors.ts'

/** How many connections the system keeps waiting to be accepted. */
const backlog = 1024

/** `Network` over `node:net`. How bytes leave is the business of the sender it is made with. */
export class NodeNetwork implements Network {
  readonly maxConnections: number | null
  readonly #createSender: (socket: Socket, events: SenderEvents) => Sender

  /** A connection takes `descriptors` descriptors, those of its sender included. */
  constructor(
    createSender: (socket: Socket, events: SenderEvents) => Sender = (socket, events) =>
      new SocketSender(socket, events),
    descriptors = 1,
  ) {
    this.#createSender = createSender
    this.maxConnections = descriptorsForConnections(descriptors)
  }

  listen(address: Address, accept: (connection: Connection) => void): Promise<Listener> {
    return new Promise((resolve, reject) => {
      checkPort(address)
      const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (accepted) => {
        const shared = sharedReading()
        const adopted = adoptHandle(accepted, shared)
        if (adopted === null) accepted.on('data', (chunk) => shared.reading.data?.(chunk))
        accept(new NodeConnection(adopted ?? accepted, shared.reading, this.#createSender))
      })
      server.on('error', (error) => {
        reject(networkError(error, `cannot listen on ${address.host}:${address.port}`))
      })
      // Workers of a cluster would share the port: each would get requests that are meant for another.
      server.listen({ host: address.host, port: address.port, backlog, exclusive: true }, () => {
        const bound = server.address()
        const port = bound !== null && typeof bound === 'object' ? bound.port : address.port
        resolve({
          address: { host: address.host, port },
          close: async () => {
            server.close()
          },
        })
      })
    })
  }

  connect(address: Address, timeoutMs: number): Promise<Connection> {
    return new Promise((resolve, reject) => {
      checkPort(address)
      const where = `${address.host}:${address.port}`
      const { reading, onread } = sharedReading()
      const socket = connect({ host: address.host, port: address.port, allowHalfOpen: true, onread })
      const timer = setTimeout(() => {
        socket.destroy()
        reject(new EngineError('networkException', `cannot reach ${where} within ${timeoutMs} ms`))
      }, timeoutMs)
      const failed = (error: Error): void => {
        clearTimeout(timer)
        reject(networkError(error, `cannot reach ${where}`))
      }
      socket.once('error', failed)
      socket.once('connect', () => {
        clearTimeout(timer)
        socket.off('error', failed)
        socket.pause()
        resolve(new NodeConnection(socket, reading, this.#createSender))
      })
    })
  }
}

/** Throws `invalidConfig` for a port that no address has. */
function checkPort({ host, port }: Address): void {
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return
  throw new EngineError('invalidConfig', `${host}:${port} is no address: ports are numbered up to 65535`)
}
