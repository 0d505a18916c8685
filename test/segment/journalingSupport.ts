import { EngineError } from '../../src/model/errors.ts'
import type { LogFields, Logger } from '../../src/model/logger.ts'
import { randomUuid } from '../../src/model/uuid.ts'
import type { Disk, DiskFile } from '../../src/runtime/disk.ts'
import type { Runtime } from '../../src/runtime/runtime.ts'
import type { AppendResult, Log, LogConfig } from '../../src/segment/log.ts'
import { LogDirectory } from '../../src/segment/logDirectory.ts'
import type { LogDirectoryOptions } from '../../src/segment/logDirectoryOptions.ts'
import { checkBatch } from '../../src/segment/recordBatch.ts'
import { WriteGroup } from '../../src/segment/writeGroup.ts'
import { copyDirectory } from '../support/copyDirectory.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { withCalls } from '../support/withCalls.ts'
import { batchOf, readAll, runtime, testConfig, valuesOf } from './support.ts'

/** The policy "journal", with large segments. */
export const journaled: LogConfig = { ...testConfig, flush: 'journal', indexIntervalBytes: 4096 }
/** The file of a log's first segment. */
export const segmentName = '00000000000000000000.log'

/** What was logged: level, message and fields in a line. */
export class Lines implements Logger {
  readonly lines: string[] = []
  debug(): void {}
  info = (message: string, fields?: LogFields): void => this.#add('info', message, fields)
  warn = (message: string, fields?: LogFields): void => this.#add('warn', message, fields)
  error = (message: string, fields?: LogFields): void => this.#add('error', message, fields)

  has(text: string): boolean {
    return this.lines.some((line) => line.includes(text))
  }

  #add(level: string, message: string, fields?: LogFields): void {
    this.lines.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`)
  }
}

/** Opens a data directory; the topic `relaxed` alone is not journaled. */
export async function open(directory: string, options: Partial<LogDirectoryOptions> & { on?: Runtime } = {}) {
  const { on = runtime, ...more } = options
  const logger = new Lines()
  const configFor = (topic: string): LogConfig => (topic === 'relaxed' ? testConfig : journaled)
  const logs = await LogDirectory.open(on, { directory, logger, nodeId: 1, configFor, ...more })
  return { logs, logger, log: (name: string) => logs.logs.get(name)! }
}

/** What a process that is killed now leaves, in a directory of its own. */
export function killed(directory: string): string {
  const copy = temporaryDirectory()
  copyDirectory(directory, copy)
  return copy
}

/** Appends in a group of its own, on the disk that the log was opened with. */
export async function append(log: Log, bytes: Uint8Array, on: Runtime = runtime): Promise<AppendResult> {
  const group = new WriteGroup(on.disk)
  const result = log.append(checkBatch(bytes, runtime.checksum), bytes, 0, group)
  await group.submit()
  return result
}

/** Creates the one partition of a topic. */
export const create = (logs: LogDirectory, topic: string, config = journaled) =>
  logs.createLog(topic, 0, randomUuid(runtime.random), config)

/** A log `orders` with these values, and what a process that is killed then leaves. */
export async function killedWith(...values: string[]) {
  const directory = temporaryDirectory()
  const { logs } = await open(directory)
  const log = await create(logs, 'orders')
  for (const value of values) await append(log, batchOf([value]))
  return { logs, log, copy: killed(directory) }
}

/** What the next start finds in a log. */
export async function values(directory: string, name = 'orders-0'): Promise<string[]> {
  const again = await open(directory)
  const found = valuesOf(await readAll(again.log(name)))
  await again.logs.close()
  return found
}

/** The disk, with some of its calls replaced. */
export function disguised(calls: Partial<Disk>): Disk {
  return withCalls<Disk>(runtime.disk, calls)
}

/** A runtime whose files note what of them is read or asked for. */
export function watching(paths: string[]): Runtime {
  const file = (path: string): DiskFile => {
    const real = runtime.disk.file(path)
    return new Proxy(real, {
      get: (target, name) => {
        if (name === 'read') paths.push(path)
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }
  return { ...runtime, disk: disguised({ file }) }
}

/** A runtime in which every sync of a file fails that `fails` names. */
export function failing(fails: (path: string) => boolean): Runtime {
  const real = new Map<DiskFile, DiskFile>()
  const error = (path: string): EngineError => new EngineError('diskFailed', `injected: cannot sync ${path}`)
  const file = (path: string): DiskFile => {
    const inner = runtime.disk.file(path)
    const outer = new Proxy(inner, {
      get: (target, name) => {
        if (name === 'sync') return () => (fails(path) ? Promise.reject(error(path)) : target.sync())
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    real.set(outer, inner)
    return outer
  }
  const submit: Disk['submit'] = async (group) => {
    await runtime.disk.submit(group.map((write) => ({ ...write, file: real.get(write.file) ?? write.file })))
    for (const { file: target, sync } of group) {
      if (sync !== 'none' && fails(target.path)) throw error(target.path)
    }
  }
  return { ...runtime, disk: disguised({ file, submit }) }
}
