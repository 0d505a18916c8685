import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { PlannedNode } from './clusterPlan.ts'

/** How a process ended: its exit code, or the signal that killed it. */
export interface NodeEnd {
  readonly code: number | null
  readonly signal: string | null
}

/** A running `cordwood serve` of a local cluster. */
export class NodeProcess {
  readonly node: PlannedNode
  /** Resolves once it has said that it is ready; rejects with its last words when it ends before. */
  readonly ready: Promise<void>
  /** Resolves when the process is gone. */
  readonly ended: Promise<NodeEnd>
  readonly #child: ChildProcess
  #hasEnded = false
  /** Its last line on standard error: why it could not start. */
  #lastWords = ''

  /**
   * Starts `program serve` with the node's configuration. `line` gets each line that it prints. Its standard input stays open:
   * when this process is gone, however it ended, the node sees that and stops in order.
   */
  constructor(
    program: readonly string[],
    node: PlannedNode,
    options: {
      readonly flags: readonly string[]
      readonly environment: Readonly<Record<string, string | undefined>>
      line(text: string): void
    },
  ) {
    this.node = node
    const [command, ...first] = program
    const args = [...first, 'serve', '--config', node.configFile, '--until-stdin-ends', ...options.flags]
    // A group of its own: Ctrl-C reaches this process alone, which then ends the nodes in order.
    this.#child = spawn(command!, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: options.environment as NodeJS.ProcessEnv,
      detached: true,
    })
    this.#child.stdin!.on('error', () => {})
    this.ended = new Promise((resolve) => {
      this.#child.once('error', (error) => {
        this.#lastWords = error.message
        this.#hasEnded = true
        resolve({ code: null, signal: null })
      })
      // After its streams have ended, so that the last words are there.
      this.#child.once('close', (code, signal) => {
        this.#hasEnded = true
        resolve({ code, signal })
      })
    })
    this.ready = new Promise((resolve, reject) => {
      createInterface({ input: this.#child.stdout! }).on('line', (text) => {
        options.line(text)
        if (text.includes('cordwood is ready on ')) resolve()
      })
      createInterface({ input: this.#child.stderr! }).on('line', (text) => {
        this.#lastWords = text
        options.line(text)
      })
      void this.ended.then(() => reject(new Error(this.#lastWords)))
    })
    this.ready.catch(() => {})
  }

  get hasEnded(): boolean {
    return this.#hasEnded
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** Asks it to stop in order, and kills it after `graceMs`. Resolves with whether it stopped by itself. */
  async stop(graceMs: number): Promise<boolean> {
    if (this.#hasEnded) return true
    let wasKilled = false
    const timer = setTimeout(() => {
      wasKilled = true
      this.#child.kill('SIGKILL')
    }, graceMs)
    this.#child.kill('SIGTERM')
    await this.ended
    clearTimeout(timer)
    return !wasKilled
  }
}
