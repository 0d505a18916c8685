import type { DiskLock } from '../runtime/disk.ts'
import { lockDirectory } from '../runtime/node/lock.ts'
import { diskError } from '../runtime/node/systemErrors.ts'
import type { EngineLink } from './engineLink.ts'

/**
 * Takes the lock `path`, of which the addon has a duplicate: when a worker thread is ended Node closes its own socket at
 * once, and the addon still writes what was queued. Nobody else may write there before that.
 */
export async function lockForEngine(link: EngineLink, path: string, owner: string): Promise<DiskLock> {
  const lock = await lockDirectory(path, owner)
  if (lock.descriptor === null) return lock
  try {
    const held = link.engine.hold(lock.descriptor)
    return {
      release: () => {
        link.engine.letGo(held)
        return lock.release()
      },
    }
  } catch (cause) {
    await lock.release()
    throw diskError(cause, `cannot lock ${path}`)
  }
}
