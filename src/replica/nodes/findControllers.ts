import { EngineError } from '../../model/errors.ts'
import { apiKeys } from '../../protocol/apiKeys.ts'
import { decodeResponse, encodeRequest } from '../../protocol/headers.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Address, Network } from '../../runtime/network.ts'
import { FrameReader } from '../peers/frameReader.ts'
import type { NodeAddress } from './nodeAddress.ts'

/** The controllers of a cluster, as one of its nodes names them. */
export interface FoundControllers {
  readonly clusterId: string
  readonly controllers: readonly NodeAddress[]
}

const version = 1
const controllersOnly = 2
const timeoutMs = 2000
const maxAnswerBytes = 1 << 20

/**
 * Asks the node at `address`, on the listener of the nodes, who the controllers are. Rejects with `networkException` when it is not
 * reached or does not say, and with the error that it answers. Source: KIP-853 (bootstrap servers), KIP-919.
 */
export async function findControllers(
  { network, clock }: { readonly network: Network; readonly clock: Clock },
  address: Address,
): Promise<FoundControllers> {
  const where = `${address.host}:${address.port}`
  const socket = await network.connect(address, timeoutMs)
  try {
    const frame = await new Promise<Uint8Array>((resolve, reject) => {
      const fail = (why: string): void => {
        timer.cancel()
        reject(new EngineError('networkException', `${where} does not say who the controllers are: ${why}`))
      }
      const timer = clock.setTimer(timeoutMs, () => fail('it does not answer'))
      const reader = new FrameReader(
        maxAnswerBytes,
        (whole) => {
          timer.cancel()
          resolve(whole)
        },
        (size) => fail(`it announced an answer of ${size} bytes`),
      )
      socket.start({
        data: (chunk) => reader.take(chunk),
        end: () => fail('it closed the connection'),
        drain: () => {},
        close: () => fail('it closed the connection'),
      })
      const body = { endpointType: controllersOnly }
      socket.send(encodeRequest(apiKeys.describeCluster, version, 1, 'cordwood', body))
    })
    const answer = decodeResponse(apiKeys.describeCluster, version, frame)
    if (answer.errorCode !== 0 || answer.brokers.length === 0) {
      throw new EngineError('networkException', `${where} knows no controllers`)
    }
    const controllers = answer.brokers.map(({ brokerId: id, host, port }) => ({ id, host, port }))
    return { clusterId: answer.clusterId, controllers }
  } finally {
    socket.destroy()
  }
}
