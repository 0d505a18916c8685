import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished, vi } from 'vitest'

/**
 * A new empty directory that is removed when the running test ends, however it ends. A log or a process that the test has left
 * to itself may still add a file to it, so it is tried again with what is there then.
 */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'cordwood-test-'))
  onTestFinished(() => vi.waitFor(() => rmSync(directory, { recursive: true, force: true }), 10_000))
  return directory
}
