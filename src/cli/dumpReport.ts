import { OutputBuffer } from './outputBuffer.ts'
import type { Terminal } from './terminal.ts'

/** What one file turned out to hold; every number counts entries or bytes. */
export type Fields = Readonly<Record<string, unknown>>

/** Bytes that are not what they must be. */
export interface FoundDamage {
  /** Bytes from the start of the file. */
  readonly position: number
  readonly expected: string
  readonly found: string
}

/** Prints what is in files, as `kind name=value …` or as one JSON object a line, and counts the damage. */
export class DumpReport {
  damages = 0
  #file = ''
  readonly #output: OutputBuffer
  readonly #json: boolean
  readonly #summaryOnly: boolean

  constructor(terminal: Terminal, options: { readonly json: boolean; readonly summaryOnly: boolean }) {
    this.#output = new OutputBuffer(terminal)
    this.#json = options.json
    this.#summaryOnly = options.summaryOnly
  }

  /** What follows is about `path`. */
  begin(path: string): void {
    this.#file = path
    if (!this.#json && !this.#summaryOnly) this.#output.add([`${path}\n`])
  }

  /** Prints one entry of the file, unless only summaries are wanted. */
  async entry(kind: string, fields: Fields): Promise<void> {
    if (!this.#summaryOnly) await this.#print(`  ${kind}`, kind, fields)
  }

  /** Prints and counts damage. */
  async damage(damage: FoundDamage): Promise<void> {
    this.damages += 1
    await this.#print(this.#summaryOnly ? `${this.#file}: damage` : '  damage', 'damage', { ...damage })
  }

  /** Prints the last line about the file; `damagesBefore` is what `damages` was when it began. */
  async end(damagesBefore: number, fields: Fields): Promise<void> {
    const state = this.damages > damagesBefore ? 'damaged' : 'intact'
    await this.#print(this.#summaryOnly ? `${this.#file}: ${state}` : `  ${state}`, 'summary', {
      state,
      ...fields,
    })
    await this.flush()
  }

  /** Writes what was printed. */
  async flush(): Promise<void> {
    await this.#output.flush()
  }

  async #print(title: string, kind: string, fields: Fields): Promise<void> {
    const line = this.#json
      ? jsonOf({ file: this.#file, kind, ...fields })
      : [title, ...Object.entries(fields).flatMap(([name, value]) => textPair(kind, name, value))].join(' ')
    if (this.#output.add([line, '\n'])) await this.flush()
  }
}

function textPair(kind: string, name: string, value: unknown): string[] {
  if (value === undefined || (kind === 'summary' && name === 'state')) return []
  if (value === true) return [name]
  if (value === false) return []
  if (typeof value === 'object' && value !== null) return [`${name}=${jsonOf(value)}`]
  const text = String(value)
  return [`${name}=${/^[^\s"]+$/.test(text) ? text : JSON.stringify(text)}`]
}

function jsonOf(value: object): string {
  // Not the replacer's second argument: there a Buffer has already become an array of numbers.
  return JSON.stringify(value, function (this: Record<string, unknown>, name) {
    return jsonValue(this[name])
  })
}

/** Bytes as text where they are text, as `{"base64": "…"}` otherwise; everything else as it is. */
function jsonValue(value: unknown): unknown {
  if (!(value instanceof Uint8Array)) return typeof value === 'bigint' ? String(value) : value
  const text = Buffer.from(value.buffer, value.byteOffset, value.length).toString()
  // A replacement character, or a control character other than tab and line breaks, means that it is not text.
  const isText = !/[\p{Cc}\ufffd]/u.test(text.replace(/[\t\r\n]/g, ''))
  return isText ? text : { base64: Buffer.from(value).toString('base64') }
}
