import { type Uuid, zeroUuid } from '../model/uuid.ts'
import type { RecordsRanges } from './recordsRanges.ts'

/**
 * The schema kit: messages as data. A message is a tree of fields, each with the versions it exists in; the codec
 * compiles one plan per (message, version) and the TypeScript types follow by inference, so nothing is generated.
 * Ranges are written as Kafka writes them: `3-13`, `4+` (open end), `7` (one version), `none`.
 */

/** Versions `from` to `to`, both inclusive; empty when `from > to`. */
export interface VersionRange {
  readonly from: number
  readonly to: number
}

/** What a field's bytes mean. `records` are bytes that may also be sent as file ranges. */
export type FieldKind =
  | 'int8'
  | 'int16'
  | 'int32'
  | 'int64'
  | 'clampedInt64'
  | 'uint16'
  | 'uint32'
  | 'float64'
  | 'bool'
  | 'string'
  | 'bytes'
  | 'records'
  | 'uuid'
  | 'struct'
  | 'array'

/** One field. `Out` is the type that decoding gives, `In` what encoding accepts. */
export interface Field<Out = unknown, In = unknown> {
  readonly kind: FieldKind
  readonly versions: VersionRange
  /** Versions in which null is allowed. */
  readonly nullable: VersionRange
  /** Number in the tagged section (KIP-482), or -1 for a field in sequence. */
  readonly tag: number
  /** The value of an absent field. */
  readonly default: unknown
  /** Whether a value that is not the default may be dropped in a version that lacks the field. */
  readonly ignorable: boolean
  /** The elements of an array, otherwise null. */
  readonly element: Field | null
  /** The fields of a struct, otherwise null. */
  readonly fields: Fields | null
  /** Never set; carry the types. */
  readonly out?: Out
  readonly in?: In
}

/** The fields of a struct or message, in the order of the wire. */
export type Fields = Readonly<Record<string, Field>>

/** A message: a request, a response, or a record's key or value. */
export interface Message<F extends Fields = Fields> {
  /** The API key or record type; null for a schema that has none. */
  readonly apiKey: number | null
  /** Versions that exist. */
  readonly valid: VersionRange
  /** Versions with compact lengths and tagged sections (KIP-482). */
  readonly flexible: VersionRange
  readonly fields: F
}

/** Primitive kinds that may be an array's elements. */
interface ElementTypes {
  int8: number
  int16: number
  int32: number
  int64: number
  string: string
  uuid: Uuid
}

type Element = keyof ElementTypes | Fields

type OutOf<F extends Fields> = { readonly [K in keyof F]: F[K] extends Field<infer Out> ? Out : never }
type InOf<F extends Fields> = {
  readonly [K in keyof F]?: (F[K] extends Field<unknown, infer In> ? In : never) | undefined
}
type ElementOut<E extends Element> = E extends keyof ElementTypes
  ? ElementTypes[E]
  : E extends Fields
    ? OutOf<E>
    : never
type ElementIn<E extends Element> = E extends keyof ElementTypes
  ? ElementTypes[E]
  : E extends Fields
    ? InOf<E>
    : never

/**
 * The type that decoding a message (or a struct's fields) gives: every field is there, absent ones at their
 * default.
 */
export type Infer<S> = S extends Message<infer F> ? OutOf<F> : S extends Fields ? OutOf<S> : never

/** The type that encoding a message (or a struct's fields) accepts: fields left out are at their default. */
export type InferInput<S> = S extends Message<infer F> ? InOf<F> : S extends Fields ? InOf<S> : never

/** What a field may state beside its versions. */
export interface FieldOptions<T> {
  readonly default?: T
  readonly tag?: number
  /** Versions in which null is allowed, where that is not all of them. */
  readonly nullable?: string
  readonly ignorable?: boolean
}

const newestVersion = 0x7fff
const noVersions: VersionRange = { from: 0, to: -1 }

/**
 * The range that a text such as `3-13`, `4+`, `7` or `none` means. Throws `RangeError` for any other text.
 */
export function versionRange(text: string): VersionRange {
  if (text === 'none') return noVersions
  const match = /^(\d+)(?:(\+)|-(\d+))?$/.exec(text)
  if (!match) throw new RangeError(`"${text}" is not a range of versions`)
  const from = Number(match[1])
  return { from, to: match[2] ? newestVersion : Number(match[3] ?? from) }
}

/** Whether `version` lies in `range`. */
export function inRange(range: VersionRange, version: number): boolean {
  return version >= range.from && version <= range.to
}

/** A message with its API key (or record type) and versions. */
export function message<const F extends Fields>(
  apiKey: number | null,
  versions: { readonly valid: string; readonly flexible: string },
  fields: F,
): Message<F> {
  return { apiKey, valid: versionRange(versions.valid), flexible: versionRange(versions.flexible), fields }
}

function field<Out, In>(
  kind: FieldKind,
  versions: string,
  options: FieldOptions<unknown>,
  absent: unknown,
  nullable: boolean,
  element: Field | null = null,
  fields: Fields | null = null,
): Field<Out, In> {
  const range = versionRange(versions)
  return {
    kind,
    versions: range,
    nullable: nullable
      ? options.nullable === undefined
        ? range
        : versionRange(options.nullable)
      : noVersions,
    tag: options.tag ?? -1,
    default: options.default === undefined ? absent : options.default,
    ignorable: options.ignorable ?? false,
    element,
    fields,
  }
}

type Build<T> = (versions: string, options?: FieldOptions<T>) => Field<T, T>

function scalar<T>(kind: FieldKind, absent: T): Build<T> {
  return (versions, options = {}) => field(kind, versions, options, absent, false)
}

function nullableScalar<T>(kind: FieldKind, absent: T): Build<T | null> {
  return (versions, options = {}) => field(kind, versions, options, absent, true)
}

const noBytes: Uint8Array = new Uint8Array(0)

/** A number from -128 to 127. */
export const int8: Build<number> = scalar('int8', 0)
/** A number from -32,768 to 32,767. */
export const int16: Build<number> = scalar('int16', 0)
/** A number from -2^31 to 2^31 - 1. */
export const int32: Build<number> = scalar('int32', 0)
/** A whole number within ±2^53; the wire's int64 beyond that is refused. */
export const int64: Build<number> = scalar('int64', 0)
/** An `int64` for which anything beyond ±2^53 means the same as the largest number: decoding gives that one. */
export const clampedInt64: Build<number> = scalar('clampedInt64', 0)
/** A number from 0 to 65,535. */
export const uint16: Build<number> = scalar('uint16', 0)
/** A number from 0 to 2^32 - 1. */
export const uint32: Build<number> = scalar('uint32', 0)
/** A double. */
export const float64: Build<number> = scalar('float64', 0)
/** A truth value; any byte but 0 reads as true. */
export const bool: Build<boolean> = scalar('bool', false)
/** Text, UTF-8 on the wire, at most 32,767 bytes. */
export const string: Build<string> = scalar('string', '')
/** Text or null; the default is the empty text unless stated. */
export const nullableString: Build<string | null> = nullableScalar<string>('string', '')
/** Bytes; decoding gives a view of the input. */
export const bytes: Build<Uint8Array> = scalar('bytes', noBytes)
/** Bytes or null; the default is no bytes unless stated. */
export const nullableBytes: Build<Uint8Array | null> = nullableScalar<Uint8Array>('bytes', noBytes)
/** A 128-bit id as its text of 22 characters. */
export const uuid: Build<Uuid> = scalar('uuid', zeroUuid)

/** Record batches or null; encoding also takes file ranges. */
export function nullableRecords(
  versions: string,
  options: FieldOptions<null> = {},
): Field<Uint8Array | null, Uint8Array | RecordsRanges | null> {
  return field('records', versions, options, noBytes, true)
}

/** A struct in place. */
export function struct<const F extends Fields>(
  versions: string,
  fields: F,
  options: FieldOptions<never> = {},
): Field<OutOf<F>, InOf<F>> {
  return field('struct', versions, options, undefined, false, null, fields)
}

/** A struct or null; the default is a struct of defaults unless stated. */
export function nullableStruct<const F extends Fields>(
  versions: string,
  fields: F,
  options: FieldOptions<null> = {},
): Field<OutOf<F> | null, InOf<F> | null> {
  return field('struct', versions, options, undefined, true, null, fields)
}

/** An array of a primitive kind, named (`array('0+', 'int32')`), or of structs, by their fields. */
export function array<const E extends Element>(
  versions: string,
  element: E,
  options: FieldOptions<never> = {},
): Field<readonly ElementOut<E>[], readonly ElementIn<E>[]> {
  return field('array', versions, options, emptyArray, false, elementField(element))
}

/** An array or null; the default is an empty array unless stated. */
export function nullableArray<const E extends Element>(
  versions: string,
  element: E,
  options: FieldOptions<null> = {},
): Field<readonly ElementOut<E>[] | null, readonly ElementIn<E>[] | null> {
  return field('array', versions, options, emptyArray, true, elementField(element))
}

const emptyArray: readonly never[] = Object.freeze([])

/** Elements exist in every version in which their array does. */
function elementField(element: Element): Field {
  if (typeof element === 'string') return field(element, '0+', {}, undefined, false)
  return field('struct', '0+', {}, undefined, false, null, element)
}
