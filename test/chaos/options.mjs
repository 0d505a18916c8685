import { aboveZero, readOptions } from '../../scripts/options.mjs'

const help = `npm run chaos -- [options]

Runs brokers as real processes in network namespaces, on disks whose power can be cut, with kafkajs and Java as clients, and
does one thing after the other to them. Needs root.

  --minutes M     how long (4)
  --faults N      ends after so many
  --hold SECONDS  how long a fault lasts at most (4)
  --nodes N       how many brokers: 3 or 5 (3)
  --seed S        which faults (1)
  --only NAME,…   these faults alone
  --without NAME,…
  --spots N       how many places a damage has (20)
  --json FILE     writes what happened
  --html FILE     the same as a page with plots
  --keep          leaves the nodes' directories

Ends with 0 when every acknowledged record is there once, at its offset, in order, and nothing was invented.`

/**
 * What the run was asked for.
 * @type {{ values: Readonly<{ minutes: string, faults: string, hold: string, nodes: string, seed: string, only?: string, without: string, spots: string, json?: string, html?: string, keep: boolean }> }}
 */
const asked = readOptions({
  command: 'chaos',
  help,
  options: {
    minutes: { type: 'string', default: '4' },
    faults: { type: 'string', default: 'Infinity' },
    hold: { type: 'string', default: '4' },
    nodes: { type: 'string', default: '3' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    without: { type: 'string', default: '' },
    spots: { type: 'string', default: '20' },
    json: { type: 'string' },
    html: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
  least: { minutes: aboveZero, faults: 1, hold: 0, nodes: 1, seed: 0, spots: 1 },
})

export const { values } = asked
