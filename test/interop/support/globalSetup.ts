import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** Installs the clients before the first test; what cannot be had is printed and fails the run. */
export function setup(): void {
  const script = fileURLToPath(new URL('../../../scripts/interop-setup.mjs', import.meta.url))
  const { status } = spawnSync(process.execPath, [script], { stdio: ['ignore', 'inherit', 'inherit'] })
  if (status !== 0)
    throw new Error('the clients that the interop tests need could not be installed; see above')
}
