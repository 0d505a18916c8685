import { randomBytes } from 'node:crypto'
import { link, open, readdir, readFile, unlink, writeFile } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { basename, dirname, join } from 'node:path'
import { EngineError } from '../../model/errors.ts'
import type { DiskLock } from '../disk.ts'
import { diskError, systemCode } from './systemErrors.ts'

/** The longest socket path that every system takes, in bytes. */
const maxSocketPathBytes = 100

/** A lock, and the socket that it is: who has a duplicate of it keeps the lock from others also after its release. */
export interface SocketLock extends DiskLock {
  /** Null where the runtime does not tell. */
  readonly descriptor: number | null
}

/**
 * Takes the lock `path`; see `Disk.lock`.
 *
 * Node has no flock, and a process id proves nothing between containers where everyone is process 1. What the
 * kernel does tell every process on the machine, whatever its namespaces, is whether somebody listens on a
 * socket that lies in the directory: the answer is "refused" from the moment the owner is dead. So the owner
 * listens on `PATH.N.sock`, and `PATH` itself holds only the text that says who that is.
 *
 * Taking over from a dead owner must not race with a third process that does the same. Therefore sockets are
 * numbered and the highest number is never removed: a newcomer that finds the highest dead creates the next
 * one, which only one process can do, and looks again whether it now has the highest. A process that acts on an
 * old listing either fails to create its number or finds a higher one. All implementations of `Disk` use this
 * one lock, so that they exclude each other.
 *
 * Over a network file system it does not exclude processes of other machines.
 */
export async function lockDirectory(path: string, owner: string): Promise<SocketLock> {
  try {
    const directory = dirname(path)
    const handle = await open(directory, 'r')
    try {
      // Through /proc the name stays short however deep the directory is.
      const base =
        Buffer.byteLength(path) + 40 <= maxSocketPathBytes ? directory : `/proc/self/fd/${handle.fd}`
      return await takeLock(directory, base, basename(path), owner)
    } finally {
      await handle.close()
    }
  } catch (cause) {
    throw diskError(cause, `cannot lock ${path}`)
  }
}

async function takeLock(directory: string, base: string, name: string, owner: string): Promise<SocketLock> {
  const ownName = `${name}.${process.pid}-${randomBytes(4).toString('hex')}.new`
  const server = await listenOn(join(base, ownName))
  try {
    for (;;) {
      const numbers = await lockNumbers(directory, name)
      const highest = numbers.at(-1) ?? 0
      for (const number of numbers) {
        if (await isAlive(join(base, socketName(name, number)))) throw await lockedBy(directory, name)
      }
      const own = socketName(name, highest + 1)
      try {
        await link(join(directory, ownName), join(directory, own))
      } catch (error) {
        if (systemCode(error) === 'EEXIST') continue
        throw error
      }
      if ((await lockNumbers(directory, name)).at(-1) !== highest + 1) {
        await unlink(join(directory, own)).catch(() => {})
        continue
      }
      await unlink(join(directory, ownName))
      for (const number of numbers) await unlink(join(directory, socketName(name, number))).catch(() => {})
      await writeFile(join(directory, name), owner)
      // The dead socket stays: it carries the highest number.
      return { release: () => closeServer(server), descriptor: descriptorOf(server) }
    }
  } catch (error) {
    await closeServer(server)
    await unlink(join(directory, ownName)).catch(() => {})
    throw error
  }
}

function socketName(name: string, number: number): string {
  return `${name}.${number}.sock`
}

/** The numbers of the sockets that are there, ascending. */
async function lockNumbers(directory: string, name: string): Promise<number[]> {
  const numbers: number[] = []
  for (const entry of await readdir(directory)) {
    if (!entry.startsWith(`${name}.`) || !entry.endsWith('.sock')) continue
    const number = Number(entry.slice(name.length + 1, -'.sock'.length))
    if (Number.isSafeInteger(number) && number > 0) numbers.push(number)
  }
  return numbers.sort((a, b) => a - b)
}

async function lockedBy(directory: string, name: string): Promise<EngineError> {
  const owner = await readFile(join(directory, name), 'utf8').catch(() => '')
  const who = owner.trim().replaceAll(/\s*\n\s*/g, ', ') || 'another process'
  return new EngineError('directoryLocked', `${directory} is in use by ${who}`)
}

function listenOn(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    // Whoever connects only wants to know whether somebody is there.
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.destroy()
    })
    server.on('error', reject)
    // In a worker of a cluster the primary would listen, by its own idea of the path, and end that when it disconnects the worker.
    server.listen({ path, exclusive: true }, () => {
      server.unref()
      resolve(server)
    })
  })
}

function descriptorOf(server: Server): number | null {
  const descriptor = (server as { _handle?: { fd?: number } | null })._handle?.fd ?? -1
  return descriptor >= 0 ? descriptor : null
}

/** Whether a process listens on this socket. When in doubt, yes. */
function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', (error) => {
      const code = systemCode(error)
      resolve(code !== 'ECONNREFUSED' && code !== 'ENOENT')
    })
  })
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()))
}
