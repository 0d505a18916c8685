import { expect, onTestFinished } from 'vitest'
import {
  type Engine,
  EngineError,
  type EngineLog,
  type EngineOptions,
  openEngine,
  type ReadOptions,
} from '../../src/index.ts'
import type { FlushPolicy } from '../../src/model/flushPolicy.ts'
import type { Runtime } from '../../src/runtime/runtime.ts'
import { createRuntime } from '../../src/zerocopy/nativeRuntime.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'

/** An engine that is closed when the test ends; in a new directory, unless `options` name one. */
export async function open<F extends FlushPolicy = 'batch'>(
  options: Partial<EngineOptions<F>> = {},
): Promise<Engine<F>> {
  const flush = (options.flush ?? 'batch') as F
  const engine = await openEngine<F>({
    directory: temporaryDirectory(),
    journalBytes: 2 << 20,
    ...options,
    flush,
  })
  onTestFinished(() => engine.close())
  return engine
}

/** The values of a log's records as text. */
export async function texts(log: EngineLog, options: ReadOptions = {}): Promise<(string | null)[]> {
  const found: (string | null)[] = []
  for await (const record of log.read(options)) found.push(record.text())
  return found
}

/** Expects `promise` to reject with an `EngineError` of this code. */
export async function expectCode(promise: Promise<unknown>, code: string): Promise<void> {
  const error = await promise.then(() => null).catch((reason) => reason)
  expect(error).toBeInstanceOf(EngineError)
  expect(error.code).toBe(code)
}

/** A runtime of the machine that is closed when the test ends. */
export function machine(): Runtime {
  const runtime = createRuntime()
  onTestFinished(() => runtime.disk.close())
  return runtime
}

/** Lets everything run that does not wait for the disk. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve()
}
