import { writeSync } from 'node:fs'
import type { LogFields, Logger } from '../model/logger.ts'

/** Log levels from the most to the least talkative. */
export const logLevels = ['debug', 'info', 'warn', 'error'] as const

/** One of `logLevels`. */
export type LogLevel = (typeof logLevels)[number]

/** `text` for people, `json` for collectors: one object a line. */
export const logFormats = ['text', 'json'] as const

/** One of `logFormats`. */
export type LogFormat = (typeof logFormats)[number]

/**
 * A `Logger` that hands each line to `write`, by default standard error, at once, so that the last line before
 * a crash is not lost. Lines below `level` cost one comparison.
 */
export function stderrLogger(
  level: LogLevel,
  format: LogFormat,
  write: (line: string) => void = writeLine,
): Logger {
  const lowest = logLevels.indexOf(level)
  const line = format === 'json' ? jsonLine : textLine
  function at(own: LogLevel): (message: string, fields?: LogFields) => void {
    if (logLevels.indexOf(own) < lowest) return () => {}
    return (message, fields) => write(line(own, message, fields))
  }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

function writeLine(line: string): void {
  try {
    writeSync(2, `${line}\n`)
  } catch {
    // Nobody reads standard error any more, or its pipe is full: a log line is no reason to stop a broker.
  }
}

function textLine(level: LogLevel, message: string, fields: LogFields = {}): string {
  let line = `${new Date().toISOString()} ${level.padEnd(5)} ${oneLine(message)}`
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined) line += ` ${name}=${textValue(value)}`
  }
  return line
}

function textValue(value: unknown): string {
  const text =
    value instanceof Error ? value.message : typeof value === 'object' ? jsonOf(value) : String(value)
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text)
}

function jsonLine(level: LogLevel, message: string, fields: LogFields = {}): string {
  return jsonOf({ ...fields, time: new Date().toISOString(), level, message })
}

/** `value` as JSON: errors with code, message and stack; numbers too large for JSON as text. */
function jsonOf(value: unknown): string {
  return JSON.stringify(value, (_name, field: unknown) => {
    if (typeof field === 'bigint') return String(field)
    if (!(field instanceof Error)) return field
    return { ...field, name: field.name, message: field.message, stack: field.stack, cause: field.cause }
  })
}

function oneLine(text: string): string {
  return text.includes('\n') ? text.replace(/\s*\n\s*/g, ' ') : text
}
