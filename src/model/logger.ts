/** Where the engine says what it does. `fields` carry the figures, so that logs can be searched. */
export interface Logger {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
}

/** Named values of one log line. */
export type LogFields = Readonly<Record<string, unknown>>

/** Says nothing: for libraries and tests. */
export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} }
