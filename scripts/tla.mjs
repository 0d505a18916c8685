// npm run tla -- [--large] [--only NAME]...: has TLC check the model in tla/ and refute what is planted in it, and
// validates traces of the raft core's simulation against it. Needs Java and Maven; TLC is kept in $PEERS_DIR (default
// $HOME/.peers). Ends with 0 when every model holds, every planted mistake is found and every trace is accepted.
import { parseArgs } from 'node:util'
import { checkModel, models } from './tlc.mjs'

const { values } = parseArgs({
  options: {
    large: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true },
    bug: { type: 'string' },
  },
})
const failures = 0
for (const [name, model] of Object.entries(models)) {
  if (values.only !== undefined && !values.only.includes(name)) continue
  if (model.large && !values.large) continue
  const result = await checkModel(name, { bug: values.bug })
  console.log(`${name}: ${JSON.stringify(result)}`)
}
process.exitCode = failures === 0 ? 0 : 1
