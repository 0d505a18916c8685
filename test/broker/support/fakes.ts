import { partBytes, type SendPart } from '../../../src/model/fileRange.ts'
import type { Logger } from '../../../src/model/logger.ts'
import type { Clock, Timer } from '../../../src/runtime/clock.ts'
import type { Connection, ConnectionHandler } from '../../../src/runtime/network.ts'
import { RateLimitedLog } from '../../../src/runtime/rateLimitedLog.ts'

/** A clock that stands still until it is moved. */
export class ManualClock implements Clock {
  #nowMs = 0
  #timers: { atMs: number; fire: () => void }[] = []

  wallMs(): number {
    return 1_700_000_000_000 + Math.floor(this.#nowMs)
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  setTimer(delayMs: number, fire: () => void): Timer {
    const timer = { atMs: this.#nowMs + delayMs, fire }
    this.#timers.push(timer)
    return { cancel: () => void (this.#timers = this.#timers.filter((other) => other !== timer)) }
  }

  get timerCount(): number {
    return this.#timers.length
  }

  /** Moves on, firing what is due, in order. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms
    for (;;) {
      const next = this.#timers.filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0]
      if (!next) break
      this.#timers = this.#timers.filter((other) => other !== next)
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      next.fire()
    }
    this.#nowMs = endMs
  }
}

/** The other end of a connection, in the hands of a test. */
export class FakeSocket implements Connection {
  readonly remote = { host: '192.0.2.7', port: 50_000 }
  handler: ConnectionHandler | null = null
  isPaused = false
  isEnded = false
  isDestroyed = false
  /** While true nothing leaves: sent bytes stay unsent. */
  isStuck = false
  unsentBytes = 0
  sent: Uint8Array[] = []

  start(handler: ConnectionHandler): void {
    this.handler = handler
  }
  pause(): void {
    this.isPaused = true
  }
  resume(): void {
    this.isPaused = false
  }
  send(parts: readonly SendPart[]): void {
    for (const part of parts) {
      this.sent.push(part as Uint8Array)
      if (this.isStuck) this.unsentBytes += partBytes(part)
    }
  }
  end(): void {
    this.isEnded = true
  }
  destroy(): void {
    if (this.isDestroyed) return
    this.isDestroyed = true
    this.handler?.close(null)
  }
  drain(): void {
    this.isStuck = false
    this.unsentBytes = 0
    this.handler?.drain()
  }
  /** Hands bytes over in memory that is overwritten right afterwards. */
  receive(bytes: Uint8Array): void {
    const chunk = Uint8Array.from(bytes)
    this.handler?.data(chunk)
    chunk.fill(0xee)
  }
  /** All bytes sent, as text. */
  get text(): string {
    return Buffer.concat(this.sent).toString('latin1')
  }
}

/** A logger that remembers its lines. */
export class LineLogger implements Logger {
  readonly lines: string[] = []
  debug(): void {}
  info(message: string): void {
    this.lines.push(`info ${message}`)
  }
  warn(message: string): void {
    this.lines.push(`warn ${message}`)
  }
  error(message: string, fields?: object): void {
    this.lines.push(`error ${message} ${JSON.stringify(fields ?? {})}`)
  }
  limited(clock: Clock): RateLimitedLog {
    return new RateLimitedLog(clock, this)
  }
}

/** A frame: the size, then the body. */
export function frame(body: string | Uint8Array): Uint8Array {
  const bytes = Buffer.from(body as string)
  const size = Buffer.alloc(4)
  size.writeInt32BE(bytes.length)
  return Buffer.concat([size, bytes])
}
