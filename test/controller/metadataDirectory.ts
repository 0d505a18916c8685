import { mkdirSync } from 'node:fs'
import { onTestFinished } from 'vitest'
import { Controller, type ControllerOptions } from '../../src/controller/controller.ts'
import { metadataLogConfig } from '../../src/controller/metadataLog.ts'
import { silentLogger } from '../../src/model/logger.ts'
import { metadataTopicId } from '../../src/model/uuid.ts'
import type { Disk } from '../../src/runtime/disk.ts'
import { createNodeRuntime } from '../../src/runtime/node/nodeRuntime.ts'
import type { Runtime } from '../../src/runtime/runtime.ts'
import { Log } from '../../src/segment/log.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'

/** A runtime on the real disk, closed when the running test ends. */
export function testRuntime(): Runtime {
  const runtime = createNodeRuntime()
  onTestFinished(() => runtime.disk.close())
  return runtime
}

/** `runtime`, but with its group writes going through `submit`. */
export function withSubmit(runtime: Runtime, submit: Disk['submit']): Runtime {
  const disk = new Proxy(runtime.disk, {
    get(target, name) {
      if (name === 'submit') return submit
      const value = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  return { ...runtime, disk }
}

/** A new directory for a metadata log. */
export function metadataDirectory(): string {
  const directory = `${temporaryDirectory()}/__cluster_metadata-0`
  mkdirSync(directory)
  return directory
}

/** Opens the metadata log in `directory` as after a crash; below `recoveryPoint` it is known to have been durable. */
export function openMetadataLog(runtime: Runtime, directory: string, recoveryPoint = 0): Promise<Log> {
  return Log.open(runtime, {
    directory,
    topicId: metadataTopicId,
    config: metadataLogConfig,
    logger: silentLogger,
    recoveryPoint,
    logStartOffset: 0,
    cleanShutdown: false,
    producerIdExpirationMs: 86_400_000,
  })
}

/** Opens the log in `directory` as after a crash, and a controller on it. */
export async function openController(
  runtime: Runtime,
  directory: string,
  options: Partial<ControllerOptions> = {},
): Promise<{ controller: Controller; log: Log }> {
  const log = await openMetadataLog(runtime, directory)
  const controller = await Controller.open(runtime, log, {
    nodeId: 1,
    clusterId: 'test-cluster',
    logger: silentLogger,
    ...options,
  })
  return { controller, log }
}
