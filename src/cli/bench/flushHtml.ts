import type { FlushResult } from './flushResult.ts'

/** The report as one HTML file. */
export function htmlReport(result: FlushResult): string {
  return JSON.stringify(result)
}
