import { EngineError } from '../../model/errors.ts'

/** Those that could be asked do not have the end of a log. */
export class NobodyHasIt extends EngineError {
  constructor(cause: unknown) {
    super('offsetOutOfRange', 'nobody has the damaged end of the log', { cause })
  }
}

/** A log was mended, and is offline still. */
export class StillDamaged extends EngineError {
  constructor(cause: EngineError) {
    super('corruptLog', `the log cannot be opened again yet: ${cause.message}`, { cause })
  }
}
