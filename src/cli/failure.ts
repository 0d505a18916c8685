import { EngineError, messageOf } from '../model/errors.ts'
import { KafkaError } from '../model/kafkaErrors.ts'

/** The command line itself is wrong: the message says what to write instead. Exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** Thrown by a command that has said all there is to say and ends with `exitCode`. */
export class ExitWith extends Error {
  readonly exitCode: number

  constructor(exitCode: number) {
    super(`exit ${exitCode}`)
    this.exitCode = exitCode
  }
}

/** Exit codes of every command. */
export const ExitCode = {
  success: 0,
  /** Something outside the program is not as it must be, or damage was found. */
  failure: 1,
  /** The command line cannot be understood. */
  usage: 2,
  /** Ended by an interrupt before the work was done. */
  interrupted: 130,
} as const

/** A code as Kafka's documentation writes it: `topicAlreadyExists` gives `TOPIC_ALREADY_EXISTS`. */
export function upperSnake(code: string): string {
  return code.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()
}

/**
 * One line for stderr about `error`, without a line break. An error of the Kafka protocol begins with the name
 * under which Kafka's documentation explains it; a bug shows where it is only with `CORDWOOD_DEBUG=1`.
 */
export function failureLine(error: unknown): string {
  const message = messageOf(error)
  const line = message.replace(/\s*\n\s*/g, ' ').trim()
  // `networkException` is never a broker's answer: nobody answered.
  if (!(error instanceof EngineError) || error.code === 'networkException') return line
  if (!Object.hasOwn(KafkaError, error.code)) return line
  const code = upperSnake(error.code)
  return line.includes(code) ? line : `${code}: ${line}`
}

/** The exit code that goes with `error`. */
export function exitCodeOf(error: unknown): number {
  return error instanceof UsageError ? ExitCode.usage : ExitCode.failure
}
