// The command lines of the project's own scripts.
import { parseArgs } from 'node:util'

/**
 * What was asked for, as `parseArgs` gives it. Prints `help` and ends the process for `--help`; says what is wrong and ends it with 2
 * for options that there are not, and for those of `least` that are no numbers of at least that size.
 */
export function readOptions({ command, help, options, least = {}, allowPositionals = false }) {
  try {
    const found = parseArgs({ options: { ...options, help: { type: 'boolean' } }, allowPositionals })
    if (found.values.help) {
      console.log(help)
      process.exit(0)
    }
    for (const [name, bound] of Object.entries(least)) {
      const value = found.values[name]
      if (value === undefined || Number(value) >= bound) continue
      throw new Error(
        `--${name} has to be a number ${bound === aboveZero ? 'above zero' : `of at least ${bound}`}, not "${value}"`,
      )
    }
    return found
  } catch (error) {
    console.error(`${command}: ${error.message}\n\n${help}`)
    process.exit(2)
  }
}

/** A bound for `least`. */
export const aboveZero = Number.MIN_VALUE
