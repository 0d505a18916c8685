import { expect, test } from 'vitest'
import { Dispatcher, type Handler, route } from '../../src/broker/dispatch.ts'
import { Exchange, type ExchangeOwner } from '../../src/broker/exchange.ts'
import { RequestPool } from '../../src/broker/requestPool.ts'
import { routes } from '../../src/broker/routes.ts'
import type { Services } from '../../src/broker/services.ts'
import { EngineError } from '../../src/model/errors.ts'
import { KafkaError } from '../../src/model/kafkaErrors.ts'
import { type AnyApi, apiKeys } from '../../src/protocol/apiKeys.ts'
import { decodeResponse } from '../../src/protocol/headers.ts'
import { LineLogger, ManualClock } from './support/fakes.ts'
import { requestFrame } from './support/runningBroker.ts'

type Heartbeat = (typeof apiKeys)['heartbeat']
type DeleteTopics = (typeof apiKeys)['deleteTopics']

function world(handlers: {
  heartbeat?: Handler<Heartbeat>
  deleteTopics?: Handler<DeleteTopics>
  overlaps?: boolean
}) {
  const logger = new LineLogger()
  const { heartbeat = () => ({}), deleteTopics = () => ({}), overlaps = false } = handlers
  const clock = new ManualClock()
  const dispatcher = new Dispatcher(
    { log: logger.limited(clock), runtime: { clock } } as unknown as Services,
    [route(apiKeys.heartbeat, heartbeat, { overlaps }), route(apiKeys.deleteTopics, deleteTopics)],
  )
  const events: string[] = []
  const owner: ExchangeOwner = {
    remoteHost: 'here',
    settled: () => void events.push('settled'),
    held: () => void events.push('held'),
    proceeded: () => void events.push('proceeded'),
    fail: (kind) => void events.push(`fail ${kind}`),
  }
  const pool = new RequestPool(1 << 20)
  const send = (frame: Uint8Array): Exchange => {
    const loan = pool.take(frame.length - 4)!
    loan.bytes.set(frame.subarray(4))
    const exchange = new Exchange(owner, loan)
    dispatcher.dispatch(exchange)
    return exchange
  }
  return { send, logger, events, pool, clock, dispatcher }
}

const heartbeat = requestFrame(apiKeys.heartbeat, 3, { groupId: 'g', generationId: 1, memberId: 'm' }, 7)
const deleteTopics = requestFrame(apiKeys.deleteTopics, 4, { topicNames: ['t'] }, 7)

/** The error code of a heartbeat's answer. */
function errorCode({ parts }: Exchange): number {
  const frame = Buffer.concat(parts as readonly Uint8Array[]).subarray(4)
  expect(frame.readInt32BE(0)).toBe(7)
  return decodeResponse(apiKeys.heartbeat, 3, frame).errorCode
}

const later = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('every API that is advertised has a handler', () => {
  expect(routes.map(({ api }) => api.key).sort()).toEqual(
    Object.values(apiKeys)
      .map(({ key }) => key)
      .sort(),
  )
})

test.each<[string, Handler<Heartbeat>]>([
  ['throws', () => fail(new EngineError('notCoordinator', 'no'))],
  ['rejects', () => Promise.reject(new EngineError('notCoordinator', 'no'))],
])(
  'the error of a handler that %s is answered where the response has a place for it',
  async (_name, handle) => {
    const { send, logger, pool } = world({ heartbeat: handle })
    const exchange = send(heartbeat)
    await later()
    expect(errorCode(exchange)).toBe(16)
    expect(logger.lines).toEqual([])
    expect(pool.usedBytes).toBe(0)
  },
)

test('a bug in a handler is logged with its stack and answered as an unknown error', async () => {
  const { send, logger } = world({ heartbeat: async () => fail(new TypeError('oops')) })
  const exchange = send(heartbeat)
  await later()
  expect(errorCode(exchange)).toBe(-1)
  expect(logger.lines).toHaveLength(1)
  expect(logger.lines[0]).toMatch(/^error .*TypeError: oops.*dispatch\.test/)
})

test('an error that the response has no place for closes the connection', () => {
  const { send, events, logger } = world({ deleteTopics: () => fail(new Error('oops')) })
  send(deleteTopics)
  expect(events).toEqual(['fail failed', 'settled'])
  expect(logger.lines).toHaveLength(1)
})

test('an answer that the version cannot carry is a bug: logged, and the connection closed', () => {
  const unsayable = { responses: [{ name: null, errorCode: 0 }] }
  const { send, events, logger } = world({ deleteTopics: () => unsayable })
  send(deleteTopics)
  expect(events).toEqual(['fail failed', 'settled'])
  expect(logger.lines).toHaveLength(1)
})

test('a promise holds the requests behind it back unless the API overlaps', async () => {
  const held = world({ heartbeat: async () => ({}) })
  held.send(heartbeat)
  await later()
  expect(held.events).toEqual(['held', 'settled', 'proceeded'])
  const overlapping = world({ heartbeat: async () => ({}), overlaps: true })
  overlapping.send(heartbeat)
  await later()
  expect(overlapping.events).toEqual(['settled'])
})

function fail(error: Error): never {
  throw error
}

test('a bug that is met again and again is logged once in a while', () => {
  const { send, logger } = world({
    heartbeat: () => {
      throw new TypeError('oops')
    },
  })
  for (let nth = 0; nth < 100; nth++) expect(errorCode(send(heartbeat))).toBe(-1)
  expect(logger.lines).toHaveLength(1)
})

const timedOut = KafkaError.requestTimedOut.kafka
const topics = [{ name: 't' }]
const resources = [{ resourceType: 2, resourceName: 't', configs: [] }]

test.each<[string, AnyApi, number, object, object]>([
  ['createTopics', apiKeys.createTopics, 5, { topics }, { topics: [{ name: 't', errorCode: timedOut }] }],
  [
    'deleteTopics by name',
    apiKeys.deleteTopics,
    4,
    { topicNames: ['t'] },
    { responses: [{ name: 't', errorCode: timedOut }] },
  ],
  ['deleteTopics', apiKeys.deleteTopics, 6, { topics }, { responses: [{ name: 't', errorCode: timedOut }] }],
  [
    'createPartitions',
    apiKeys.createPartitions,
    3,
    { topics },
    { results: [{ name: 't', errorCode: timedOut }] },
  ],
  [
    'deleteRecords',
    apiKeys.deleteRecords,
    2,
    { topics: [{ name: 't', partitions: [{ partitionIndex: 3, offset: 1 }] }] },
    { topics: [{ name: 't', partitions: [{ partitionIndex: 3, errorCode: timedOut }] }] },
  ],
  ['alterConfigs', apiKeys.alterConfigs, 2, { resources }, { responses: [{ errorCode: timedOut }] }],
  [
    'incrementalAlterConfigs',
    apiKeys.incrementalAlterConfigs,
    1,
    { resources },
    { responses: [{ errorCode: timedOut }] },
  ],
  ['findCoordinator for one', apiKeys.findCoordinator, 2, { key: 'g' }, { errorCode: 15, nodeId: -1 }],
  [
    'findCoordinator',
    apiKeys.findCoordinator,
    4,
    { coordinatorKeys: ['g'] },
    { coordinators: [{ key: 'g', errorCode: 15 }] },
  ],
  ['initProducerId', apiKeys.initProducerId, 4, { transactionalId: null }, { errorCode: 14, producerId: -1 }],
])(
  'a request that takes too long is answered, and what comes of it later is not: %s',
  async (_name, api, version, body, expected) => {
    const clock = new ManualClock()
    const log = new LineLogger().limited(clock)
    let end = (): void => {}
    const real = routes.find((each) => each.api === api)!
    const handle = () => new Promise<null>((resolve) => (end = () => resolve(null)))
    const dispatcher = new Dispatcher({ log, runtime: { clock } } as unknown as Services, [
      { ...real, handle },
    ])
    const timeoutMs = 'timeoutMs' in api.request.fields ? { timeoutMs: 5000 } : {}
    const frame = requestFrame(api, version, { ...body, ...timeoutMs }, 7)
    const loan = new RequestPool(1 << 20).take(frame.length - 4)!
    loan.bytes.set(frame.subarray(4))
    const owner = { remoteHost: 'here', settled() {}, held() {}, proceeded() {}, fail() {} }
    const exchange = new Exchange(owner, loan)
    dispatcher.dispatch(exchange)
    clock.advance('timeoutMs' in timeoutMs ? 4999 : 29_999)
    await later()
    expect(exchange.isSettled).toBe(false)
    clock.advance(1)
    await later()
    const answer = Buffer.concat(exchange.parts as readonly Uint8Array[]).subarray(4)
    expect(decodeResponse(api, version, answer)).toMatchObject(expected)
    end()
    await later()
    expect(clock.timerCount).toBe(0)
  },
)

test('an answer in time stops the clock', async () => {
  const clock = new ManualClock()
  const create = routes.find(({ api }) => api === apiKeys.createTopics)!
  const handle = () => Promise.resolve({ topics: [] })
  const services = { log: new LineLogger().limited(clock), runtime: { clock } } as unknown as Services
  const frame = requestFrame(apiKeys.createTopics, 5, { topics }, 7)
  const loan = new RequestPool(1 << 20).take(frame.length - 4)!
  loan.bytes.set(frame.subarray(4))
  const exchange = new Exchange(
    { remoteHost: 'here', settled() {}, held() {}, proceeded() {}, fail() {} },
    loan,
  )
  new Dispatcher(services, [{ ...create, handle }]).dispatch(exchange)
  expect(clock.timerCount).toBe(1)
  await later()
  expect([exchange.isSettled, clock.timerCount]).toEqual([true, 0])
})
