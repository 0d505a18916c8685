import { type FlushPolicy, flushPolicyNames } from '../model/flushPolicy.ts'
import type { ClusterShape } from './clusterProgram.ts'

/** What a scenario is played on. */
export interface ScenarioOptions {
  readonly shape: ClusterShape
  readonly seed: number
}

/** The value of `name=value` among the words, or what it is otherwise. */
export function wordOption(words: readonly string[], name: string, otherwise: string): string {
  return words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1) ?? otherwise
}

const known = ['nodes', 'voters', 'kind', 'flush', 'autoJoin', 'confirmation', 'seed']

/** The options of the line `cluster nodes=5 voters=3 kind=metadata flush=none autoJoin=true seed=7`. Throws on others. */
export function scenarioOptions(words: readonly string[]): ScenarioOptions {
  for (const word of words) {
    if (!known.includes(word.split('=')[0]!)) throw new Error(`a cluster knows no "${word}"`)
  }
  const nodes = Number(wordOption(words, 'nodes', '3'))
  const kind = wordOption(words, 'kind', 'partition')
  return {
    seed: Number(wordOption(words, 'seed', '1')),
    shape: {
      nodes,
      voters: Number(wordOption(words, 'voters', String(nodes))),
      groups: 1,
      kind: kind === 'metadata' ? 'metadata' : 'partition',
      autoJoin: wordOption(words, 'autoJoin', 'false') === 'true',
      fetchBytes: 1 << 20,
      confirmation: wordOption(words, 'confirmation', 'peers') === 'none' ? 'none' : 'peers',
      flush: flushOf(wordOption(words, 'flush', 'journal')),
      segmentBytes: 32 << 10,
    },
  }
}

function flushOf(name: string): FlushPolicy {
  if (name === 'journal' || name === 'batch' || name === 'append' || name === 'none') return name
  throw new Error(
    `a scenario flushes by one of ${flushPolicyNames.slice(0, 1)}, journal, batch, append; not "${name}"`,
  )
}
