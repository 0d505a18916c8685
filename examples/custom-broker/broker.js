// @ts-check
// An HTTP broker: POST publishes, GET subscribes with server-sent events, Last-Event-ID resumes.
//   node broker.js [port] [directory]
import { createServer } from 'node:http'
import { pathToFileURL } from 'node:url'
import { openEngine } from 'cordwood'

const largestBody = 1 << 20

/** Errors of the log that are the client's. */
const statusOf = new Map([
  ['invalidTopicException', 400],
  ['invalidConfig', 400],
  ['messageTooLarge', 413],
])

/**
 * Starts the broker. Resolves once it listens.
 * @param {{ directory: string, port?: number }} options
 */
export async function startBroker({ directory, port = 0 }) {
  const engine = await openEngine({ directory })
  const server = createServer((request, response) => {
    handle(engine, request, response).catch((error) => fail(response, error))
  })
  await new Promise((resolve, reject) => {
    server.once('error', reject).listen(port, '127.0.0.1', () => resolve(undefined))
  })
  const { port: realPort } = /** @type {import('node:net').AddressInfo} */ (server.address())
  return {
    url: `http://127.0.0.1:${realPort}`,
    async close() {
      server.close()
      await engine.close() // Appends settle and subscriptions end.
      server.closeAllConnections()
    },
  }
}

/**
 * @param {import('cordwood').Engine<'journal'>} engine
 * @param {import('node:http').IncomingMessage} request
 * @param {import('node:http').ServerResponse} response
 */
async function handle(engine, request, response) {
  const [path = '', query] = (request.url ?? '').split('?', 2)
  const [, section, topic] = path.split('/')
  if (section !== 'topics' || !topic) return void response.writeHead(404).end()
  if (request.method === 'POST') return publish(await engine.log(topic), request, response)
  if (request.method !== 'GET') return void response.writeHead(405, { allow: 'GET, POST' }).end()
  if (!engine.logs.includes(topic)) return void response.writeHead(404).end()
  const seen = request.headers['last-event-id'] ?? new URLSearchParams(query).get('after')
  if (seen !== null && !/^(-1|\d+)$/.test(String(seen))) {
    return void response.writeHead(400).end('after is the offset of the last message seen, or -1\n')
  }
  await subscribe(await engine.log(topic), seen, response)
}

/**
 * Answers once the message is on the disk, with its offset.
 * @param {import('cordwood').EngineLog<'journal'>} log
 * @param {import('node:http').IncomingMessage} request
 * @param {import('node:http').ServerResponse} response
 */
async function publish(log, request, response) {
  const parts = []
  let size = 0
  for await (const part of request) {
    size += part.length
    if (size > largestBody) return void response.writeHead(413, { connection: 'close' }).end()
    parts.push(part)
  }
  const { baseOffset } = await log.append({ value: Buffer.concat(parts) })
  response.writeHead(201, { 'content-type': 'application/json' }).end(`{"offset":${baseOffset}}\n`)
}

/**
 * Sends what comes after the message that the client saw last; without one, what is published from now on.
 * @param {import('cordwood').EngineLog<'journal'>} log
 * @param {string | string[] | null} seen
 * @param {import('node:http').ServerResponse} response
 */
async function subscribe(log, seen, response) {
  const from = seen === null ? 'end' : Number(seen) + 1
  const gone = new AbortController()
  response.on('close', () => gone.abort())
  const records = log.read({ from, follow: true, signal: gone.signal })
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
  response.flushHeaders()
  for await (const record of records) {
    const data = (record.text() ?? '').replaceAll(/\r\n|\r|\n/g, '\ndata: ')
    // A subscriber that does not keep up is waited for here, and holds nobody else up.
    if (response.write(`id: ${record.offset}\ndata: ${data}\n\n`)) continue
    await new Promise((resolve) => response.once('drain', resolve).once('close', resolve))
  }
  response.end()
}

/**
 * @param {import('node:http').ServerResponse} response
 * @param {{ code?: string, message?: string }} error
 */
function fail(response, error) {
  if (response.headersSent) return void response.end()
  const status = statusOf.get(error.code ?? '') ?? 500
  response.writeHead(status, { 'content-type': 'text/plain' }).end(`${error.message}\n`)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [port = '8080', directory = './broker-data'] = process.argv.slice(2)
  const broker = await startBroker({ directory, port: Number(port) })
  console.log(`listening on ${broker.url}`)
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => broker.close())
}
