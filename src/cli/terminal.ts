/** What a command may see of the process it runs in; tests hand in their own. */
export interface Terminal {
  /** Environment variables. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** The command that runs this program once more: interpreter, its options, script. */
  readonly program: readonly string[]
  /** Standard input, in chunks. */
  readonly input: AsyncIterable<Uint8Array>
  readonly inputIsTerminal: boolean
  readonly outputIsTerminal: boolean
  readonly errorIsTerminal: boolean
  /** Writes to standard output. Resolves once more may be written, so awaiting it is back-pressure. */
  write(bytes: Uint8Array | string): Promise<void>
  /** Writes one line, without its line break, to standard error. */
  note(line: string): void
  /** Shows `text`, cut to the width of the terminal, in place of the last progress text; says nothing unless standard error is a terminal. */
  progress(text: string): void
  /** Aborted by the first SIGINT or SIGTERM from the first call on; the second ends the process at once. */
  interruptible(): AbortSignal
}

/** The terminal of this process. A reader of standard output that goes away ends the process quietly. */
export function processTerminal(): Terminal {
  let progressShown = false
  let interrupt: AbortController | null = null
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    process.stderr.write(`cordwood: cannot write to standard output: ${error.message}\n`)
    process.exit(1)
  })
  process.stderr.on('error', () => {}) // Nobody listens any more; that must not stop a broker.

  function clearProgress(): void {
    if (!progressShown) return
    process.stderr.write('\r\x1b[K')
    progressShown = false
  }
  return {
    environment: process.env,
    program: [process.execPath, ...process.execArgv, process.argv[1]!],
    get input() {
      return process.stdin
    },
    get inputIsTerminal() {
      return process.stdin.isTTY === true
    },
    get outputIsTerminal() {
      return process.stdout.isTTY === true
    },
    get errorIsTerminal() {
      return process.stderr.isTTY === true
    },
    write(bytes) {
      if (progressShown && process.stdout.isTTY) clearProgress()
      if (process.stdout.write(bytes)) return Promise.resolve()
      return new Promise((resolve) => process.stdout.once('drain', resolve))
    },
    note(line) {
      clearProgress()
      process.stderr.write(`${line}\n`)
    },
    progress(text) {
      if (process.stderr.isTTY !== true) return
      // What does not fit would go on in the next line, and stay there.
      process.stderr.write(`\r\x1b[K${text.slice(0, (process.stderr.columns || 80) - 1)}`)
      progressShown = text !== ''
    },
    interruptible() {
      if (interrupt !== null) return interrupt.signal
      interrupt = new AbortController()
      const { signal } = interrupt
      for (const [name, number] of [
        ['SIGINT', 2],
        ['SIGTERM', 15],
      ] as const) {
        process.on(name, () => {
          if (signal.aborted) process.exit(128 + number)
          interrupt?.abort(name)
        })
      }
      return signal
    },
  }
}
