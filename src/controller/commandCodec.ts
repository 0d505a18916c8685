import { codeNamed, EngineError } from '../model/errors.ts'

/*
 * Commands and their results between nodes of one release: JSON, in which maps, absent values and errors of single outcomes
 * keep what they are. Strings of clients cannot look like any of these, since they stand in place of objects.
 */

/** The bytes of a command or a result. */
export function encodeValue(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value, replacer))
}

/** What `encodeValue` was given. Throws `malformed`. */
export function decodeValue<T>(bytes: Uint8Array | null): T {
  try {
    return JSON.parse(Buffer.from(bytes ?? []).toString(), reviver) as T
  } catch (cause) {
    throw new EngineError('malformed', 'a command that is not JSON', { cause })
  }
}

function replacer(_: string, value: unknown): unknown {
  if (value instanceof Map) return { $map: [...value] }
  if (value instanceof EngineError) return { $error: value.code, text: value.message }
  return value
}

function reviver(_: string, value: unknown): unknown {
  if (value === null || typeof value !== 'object') return value
  if ('$map' in value) return new Map(value.$map as [unknown, unknown][])
  if (!('$error' in value)) return value
  const { $error: code, text } = value as { $error: string; text?: unknown }
  return new EngineError(codeNamed(code), String(text))
}
