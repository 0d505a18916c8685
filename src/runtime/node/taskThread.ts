import {
  type Corruption,
  CorruptionError,
  EngineError,
  EngineErrorCode,
  type EngineErrorName,
} from '../../model/errors.ts'
import type { TaskTable, TaskWorld } from '../compute.ts'

/** What a worker is told: the task, what goes in, and a flag that turns 1 when nobody wants the result any more. */
export interface TaskCall {
  readonly task: string
  readonly input: unknown
  readonly stop: Int32Array
}

/** What comes back. Errors travel as their fields: a copy of an error between threads would lose its class and code. */
export type TaskOutcome =
  | { readonly ok: true; readonly output: unknown }
  | { readonly ok: false; readonly error: TaskFailure }

/** The fields of an error. */
export interface TaskFailure {
  readonly name: string
  readonly message: string
  readonly stack: string | null
  /** Of an `EngineError`, or of an error of the system. */
  readonly code: string | null
  readonly corruption: Corruption | null
  readonly cause: TaskFailure | null
}

/** Causes of causes that are kept. */
const deepestCause = 4

/** Runs one task in this thread. Never rejects. */
export async function runInThread(
  tasks: TaskTable,
  world: Omit<TaskWorld, 'check'>,
  call: TaskCall,
): Promise<TaskOutcome> {
  const check = (): void => {
    if (Atomics.load(call.stop, 0) !== 0) throw new EngineError('closed', 'the task was told to stop')
  }
  try {
    const task = tasks.get(call.task)
    if (task === undefined) throw new EngineError('notFound', `this worker knows no task ${call.task}`)
    return { ok: true, output: await task.body(call.input as never, { ...world, check }) }
  } catch (error) {
    return { ok: false, error: failureOf(error, deepestCause) }
  }
}

function failureOf(error: unknown, depth: number): TaskFailure {
  const none = { stack: null, code: null, corruption: null, cause: null }
  if (!(error instanceof Error)) return { ...none, name: 'Error', message: String(error) }
  const code = (error as { code?: unknown }).code
  return {
    name: error.name,
    message: error.message,
    stack: error.stack ?? null,
    code: typeof code === 'string' ? code : null,
    corruption: error instanceof CorruptionError ? error.corruption : null,
    cause: error.cause === undefined || depth === 0 ? null : failureOf(error.cause, depth - 1),
  }
}

/** The error again, with its code and cause; what was an `EngineError` of any kind is one. */
export function errorOf(failure: TaskFailure): Error {
  const cause = failure.cause === null ? undefined : errorOf(failure.cause)
  const error = bareError(failure, cause)
  if (failure.stack !== null) error.stack = failure.stack
  return error
}

function bareError(failure: TaskFailure, cause: Error | undefined): Error {
  const { name, message, code, corruption } = failure
  const options = cause === undefined ? undefined : { cause }
  if (corruption !== null) return new CorruptionError(corruption)
  // Of a subclass as well: what callers go by is the code.
  if (code !== null && Object.hasOwn(EngineErrorCode, code)) {
    return new EngineError(code as EngineErrorName, message, options)
  }
  const error = Object.assign(new Error(message, options), code === null ? {} : { code })
  error.name = name
  return error
}
