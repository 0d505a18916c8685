// Bundles of sources that scripts run: `NAME-PROCESS.mjs`, one for each process that made one.
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'

/** Removes the bundles in `directory` whose processes are gone: those of other runs may still be imported. */
export function removeLeftBundles(directory) {
  for (const name of readdirSync(directory)) {
    const [, id] = /-(\d+)\.mjs$/.exec(name) ?? []
    if (id !== undefined && !isRunning(Number(id))) rmSync(join(directory, name), { force: true })
  }
}

function isRunning(id) {
  try {
    process.kill(id, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM' // Somebody else's.
  }
}
