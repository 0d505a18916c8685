import type { Field, Fields } from './schema.ts'

/** The value that decoding gives for a field that is not on the wire. */
export function absentValue(field: Field): unknown {
  if (field.kind === 'struct' && field.default === undefined) return structDefault(field.fields!)
  return field.default
}

function structDefault(fields: Fields): unknown {
  const value: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(fields)) value[name] = absentValue(field)
  return Object.freeze(value)
}

/** Whether `value` is what a reader assumes when the field is missing. Undefined counts as the default. */
export function isDefault(field: Field, value: unknown): boolean {
  if (value === undefined) return true
  if (field.kind === 'struct' && field.default === undefined) {
    return value !== null && structIsDefault(field.fields!, value as Record<string, unknown>)
  }
  if (field.default === null || value === null) return value === field.default
  if (field.kind === 'array') return (value as readonly unknown[]).length === 0
  if (field.kind === 'bytes') return (value as Uint8Array).length === 0
  if (field.kind === 'records') return lengthOf(value as Uint8Array | { lengthBytes: number }) === 0
  return value === field.default
}

function structIsDefault(fields: Fields, value: Readonly<Record<string, unknown>>): boolean {
  for (const name in fields) {
    if (!isDefault(fields[name]!, value[name])) return false
  }
  return true
}

function lengthOf(value: Uint8Array | { readonly lengthBytes: number }): number {
  return value instanceof Uint8Array ? value.length : value.lengthBytes
}
