import { KafkaError, type KafkaErrorName } from './kafkaErrors.ts'

/**
 * Errors that Kafka has no number of its own for, with the number a Kafka client is given instead.
 * Together with `KafkaError` this is the one frozen table of codes; callers match `error.code`, never text.
 */
export const EngineErrorCode = {
  ...KafkaError,
  /** Bytes on disk are not what was written; `CorruptionError` says where. */
  corruptLog: { kafka: KafkaError.kafkaStorageError.kafka, retriable: false },
  /** The disk has no room, or the process no descriptor for the file; nothing of the write was acknowledged. */
  diskFull: { kafka: KafkaError.kafkaStorageError.kafka, retriable: true },
  /** A read, write or sync failed; the log it belongs to is offline. */
  diskFailed: { kafka: KafkaError.kafkaStorageError.kafka, retriable: true },
  /** More bytes wait for the disk than the configuration allows. */
  queueFull: { kafka: KafkaError.requestTimedOut.kafka, retriable: true },
  /** The file, directory or port is not there, or may not be used by this process. */
  notFound: { kafka: KafkaError.unknownServerError.kafka, retriable: false },
  permissionDenied: { kafka: KafkaError.unknownServerError.kafka, retriable: false },
  addressInUse: { kafka: KafkaError.unknownServerError.kafka, retriable: false },
  /** Another process has the data directory open. */
  directoryLocked: { kafka: KafkaError.unknownServerError.kafka, retriable: false },
  /** The data directory was written by another cluster or node. */
  directoryForeign: { kafka: KafkaError.unknownServerError.kafka, retriable: false },
  /** The data directory is an earlier state of itself, or has lost votes: the next start begins anew, as a new replica. */
  directoryRolledBack: { kafka: KafkaError.kafkaStorageError.kafka, retriable: false },
  /** A file or message has a format or version that this release does not read. */
  unsupportedFormat: { kafka: KafkaError.unsupportedVersion.kafka, retriable: false },
  /** The object was closed before or during the call. */
  closed: { kafka: KafkaError.unknownServerError.kafka, retriable: false },
  /** The program's own code for a state machine threw; `cause` has what. The machine stands still on this node. */
  machineFailed: { kafka: KafkaError.unknownServerError.kafka, retriable: false },
  /** An append was to begin at an offset at which the log does not end: somebody else has appended. */
  conflict: { kafka: KafkaError.invalidRequest.kafka, retriable: false },
  /** A frame or message cannot be decoded: a length lies, a varint does not end, a number is beyond 2^53. */
  malformed: { kafka: KafkaError.invalidRequest.kafka, retriable: false },
} as const

/** A code of the table above. */
export type EngineErrorName = KafkaErrorName | keyof typeof EngineErrorCode

/** An operating error: something outside the program is not as the caller needs it. `code` is stable. */
export class EngineError extends Error {
  override readonly name: string = 'EngineError'
  readonly code: EngineErrorName

  constructor(code: EngineErrorName, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }

  /** The number a Kafka client is given. */
  get kafka(): number {
    return EngineErrorCode[this.code].kafka
  }

  /** Whether the same call may succeed later without anybody changing anything. */
  get retriable(): boolean {
    return EngineErrorCode[this.code].retriable
  }
}

/** What was found on disk in place of what must be there. */
export interface Corruption {
  readonly file: string
  /** Bytes from the start of the file. */
  readonly position: number
  readonly expected: string
  readonly found: string
}

/** Stored bytes that fail a check. Never answered by cutting or deleting anything that was flushed. */
export class CorruptionError extends EngineError {
  override readonly name: string = 'CorruptionError'
  readonly corruption: Corruption

  constructor(corruption: Corruption) {
    const { file, position, expected, found } = corruption
    super('corruptLog', `${file} is damaged at byte ${position}: expected ${expected}, found ${found}`)
    this.corruption = corruption
  }
}

/** Why one file of a group of writes failed. */
export interface WriteFailure {
  readonly path: string
  readonly error: EngineError
}

/** A group of writes of which parts failed; `code` is that of the worst of them. */
export class WriteError extends EngineError {
  override readonly name: string = 'WriteError'
  readonly failures: readonly WriteFailure[]
  /** What became of files that are not in `failures`; null when they were written, and synced as far as was asked for. */
  readonly rest: EngineError | null

  constructor(failures: readonly WriteFailure[], rest: EngineError | null = null) {
    const worst = worstOf(failures, rest)
    super(worst.code, worst.message, { cause: worst.cause })
    this.failures = failures
    this.rest = rest
  }

  /** What became of the files in `directory`; null when they were written, and synced as far as was asked for. */
  in(directory: string): EngineError | null {
    const failures = this.failures.filter(({ path }) => path.startsWith(`${directory}/`))
    return failures.length === 0 ? this.rest : worstOf(failures, this.rest)
  }
}

/** Rather one of something that is lost than one of something that only found no room. */
function worstOf(failures: readonly WriteFailure[], rest: EngineError | null): EngineError {
  const errors = failures.map(({ error }) => error)
  if (rest !== null) errors.push(rest)
  return errors.find(({ code }) => code !== 'diskFull' && code !== 'queueFull') ?? errors[0]!
}

/** What `error`, the end of a group of writes, means for the files in `directory`; null when they are as they should be. */
export function failureIn(error: EngineError, directory: string): EngineError | null {
  return error instanceof WriteError ? error.in(directory) : error
}

/** `cause` as an `EngineError`, itself if it is one. */
export function toEngineError(cause: unknown, code: EngineErrorName, message: string): EngineError {
  if (cause instanceof EngineError) return cause
  return new EngineError(code, `${message}: ${messageOf(cause)}`, { cause })
}

/** The code of that name, as another node gave it; `unknownServerError` for one that this release does not know. */
export function codeNamed(name: string): EngineErrorName {
  return Object.hasOwn(EngineErrorCode, name) ? (name as EngineErrorName) : 'unknownServerError'
}

/** What a thrown thing says of itself. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
