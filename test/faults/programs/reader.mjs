// Opens a directory as a start after a crash does and prints all that is in it.
//   node reader.mjs DIRECTORY
// Lines on stdout:  L log logStartOffset logEndOffset   R log offset id (id -1: not what anybody wrote)   F log code message
import { openEngine } from '../../../dist/index.js'
import { idOf } from './values.mjs'

const engine = await openEngine({ directory: process.argv[2] })
const lines = []
for (const name of engine.logs) {
  const index = name.slice('log-'.length)
  try {
    const log = await engine.log(name)
    lines.push(`L ${index} ${log.logStartOffset} ${log.logEndOffset}`)
    for await (const { offset, value } of log.read({ from: log.logStartOffset })) {
      lines.push(`R ${index} ${offset} ${idOf(Buffer.from(value).toString()) ?? -1}`)
    }
  } catch (error) {
    lines.push(`F ${index} ${error.code} ${error.message}`)
  }
}
await engine.close()
await new Promise((resolve) => process.stdout.write(`${lines.join('\n')}\n`, resolve))
