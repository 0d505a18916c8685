import { readFileSync, writeFileSync } from 'node:fs'

/** The text of a file beside the tests, rewritten first under UPDATE=1. */
export function golden(url: URL, actual: string): string {
  if (process.env.UPDATE === '1') writeFileSync(url, actual)
  return readFileSync(url, 'utf8')
}
