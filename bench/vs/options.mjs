import { parseArgs } from 'node:util'

const help = `npm run bench -- --vs-kafka [options]

Measures cordwood and real Kafka side by side on this machine: one at a time under load, interleaved, N rounds.

  --rounds N      rounds (default 5, with --quick 2)
  --quick         a tenth of an hour instead of half of one: fewer rounds, fewer records
  --only REGEX    the cases whose name matches, such as '^none/kgo' or '/10240B'; merged into what results/ holds
  --fresh         forget what results/ holds
  --list          print the names of the cases
  --report        only write the table anew from results/vs-kafka.json
  --directory D   where the servers keep their data (default: the system's temporary directory)
  --out D         where results go (default bench/results)

Heavy programs (Kafka, kgo-bench) live in $PEERS_DIR, default ~/.peers, and are installed there when missing.`

/** The command line, checked; prints help and returns null when asked for it. Throws on an unknown flag. */
export function parseOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      only: { type: 'string', default: '' },
      fresh: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      report: { type: 'boolean', default: false },
      directory: { type: 'string' },
      out: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(help)
    return null
  }
  const rounds = Number(values.rounds ?? (values.quick ? 2 : 5))
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds takes a whole number from 1 on')
  return { ...values, rounds, only: new RegExp(values.only) }
}
