import { createRequire } from 'node:module'
import type * as Native from '../../native/index.js'

/** The functions of the addon; `native/src/lib.rs` says what they do. */
export type Addon = typeof Native

/** The addon, or why it is not there. */
export type LoadedAddon =
  | { readonly addon: Addon; readonly why: null }
  | { readonly addon: null; readonly why: string }

/** What a completion tells. The numbers are those of `native/src/completions.rs`. */
export const Stage = {
  written: 0,
  synced: 1,
  opened: 2,
  checked: 3,
  damaged: 4,
  drained: 10,
  flushed: 11,
  socketFailed: 12,
  rangeFailed: 13,
  rangeShort: 14,
  rangeDamaged: 15,
} as const

/** Flags of a write. The numbers are those of `native/src/lib.rs`. */
export const WriteFlag = { sync: 1, syncName: 2, mustExist: 4 } as const

/** Orders of a group. The numbers are those of `native/src/lib.rs`. */
export const GroupOrder = { common: 0, urgent: 1, beside: 2 } as const

/** The border that this code calls; the number of `BORDER` in `native/src/lib.rs`. */
const border = 11

let loaded: LoadedAddon | null = null

/**
 * Loads the addon, once. It is not loaded when the environment says `CORDWOOD_NATIVE=0`.
 *
 * The one file for this machine is loaded directly: the loader that napi-rs generates tries several hundred
 * lines of platforms, and hides why the one that matters failed.
 */
export function loadAddon(): LoadedAddon {
  if (process.env.CORDWOOD_NATIVE === '0') return { addon: null, why: 'CORDWOOD_NATIVE is 0' }
  loaded ??= load()
  return loaded
}

function load(): LoadedAddon {
  if (process.platform !== 'linux') return { addon: null, why: `there is no addon for ${process.platform}` }
  const require = createRequire(import.meta.url)
  let why = ''
  // Two levels up from the sources, one or two from the bundle that is shipped.
  for (const folder of ['../../native', '../native']) {
    for (const libc of ['gnu', 'musl']) {
      try {
        const addon = require(`${folder}/cordwood.linux-${process.arch}-${libc}.node`) as Addon
        if (addon.border?.() === border) return { addon, why: null }
        why = 'the addon was built for another version of cordwood: run "npm run build"'
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException
        if (code !== 'MODULE_NOT_FOUND') why = message
      }
    }
  }
  return { addon: null, why: why || 'the addon has not been built: install Rust and run "npm run build"' }
}
