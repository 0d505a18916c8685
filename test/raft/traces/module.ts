import { zeroUuid } from '../../../src/model/uuid.ts'
import { type ReplicaKey, replicaText } from '../../../src/raft/replicaKey.ts'
import type { Entry } from './entries.ts'
import type { Line, TraceRecorder } from './recorder.ts'

/** A recorded run in the words of the model. */
export interface Trace {
  readonly name: string
  /** The node of every replica; nodes carry the name of their first replica. */
  readonly nodes: Readonly<Record<string, string>>
  readonly founders: readonly string[]
  readonly first: readonly string[]
  readonly lines: readonly string[]
  readonly largestEpoch: number
}

/** Turns what was recorded into lines for TLC, without those that say nothing new, `most` at the most. */
export function traceOf(name: string, recorder: TraceRecorder, most: number): Trace {
  const names = new Map<string, string>()
  const nodes: Record<string, string> = {}
  for (const [replica, node] of recorder.replicas) {
    const former = Object.values(nodes).filter((known) => known === `n${node}`).length
    const own = former === 0 ? `n${node}` : `n${node}${'bcdefgh'[former - 1]}`
    names.set(replica, own)
    nodes[own] = `n${node}`
  }
  const lines: string[] = []
  const nonces = new Map<number, number>()
  const startsOf = (starts: readonly number[]): string => {
    for (const nonce of starts) if (!nonces.has(nonce)) nonces.set(nonce, nonces.size + 1)
    return `<<${starts.map((nonce) => nonces.get(nonce)).join(', ')}>>`
  }
  const logs = new Map<string, readonly Entry[]>()
  const last = new Map<string, string>()
  let largestEpoch = 1
  for (const line of recorder.lines) {
    if (lines.length >= most) break
    const old = logs.get(line.replica) ?? []
    const keep = alike(old, line.entries)
    const known = `starts |-> ${startsOf(line.starts)}, seen |-> <<${line.seen
      .map(([replica, starts]) => `<<${text(names.get(replica)!)}, ${startsOf(starts)}>>`)
      .join(', ')}>>`
    const said = `${quorumOf(line, names)} ${line.state} ${line.committed} ${known}`
    const asked = argumentOf(line, names)
    const hasGrown = old.length !== keep || line.entries.length !== keep
    const isNews =
      hasGrown || said !== last.get(line.replica) || (asked !== '<<>>' && asked !== last.get(asked))
    last.set(line.replica, said)
    if (line.kind === 'fetch') last.set(asked, asked)
    logs.set(line.replica, line.entries)
    largestEpoch = Math.max(largestEpoch, line.quorum.leaderEpoch)
    if (!isNews && !['start', 'crash', 'kill', 'replace', 'back'].includes(line.kind) && line.flushed === 0)
      continue
    const added = line.entries.slice(keep).map((entry) => entryText(entry, names))
    const fields = [
      `kind |-> ${text(line.kind)}`,
      `r |-> ${text(names.get(line.replica)!)}`,
      `q |-> ${quorumOf(line, names)}`,
      `st |-> ${text(line.state)}`,
      `keep |-> ${keep}`,
      `add |-> <<${added.join(', ')}>>`,
      `done |-> ${line.committed}`,
      `n |-> ${line.flushed}`,
      `arg |-> ${asked}`,
      known,
    ]
    lines.push(`[${fields.join(', ')}]`)
  }
  const all = (list: Iterable<string>): string[] => [...list].map((replica) => names.get(replica)!)
  return { name, nodes, founders: all(recorder.founders), first: all(recorder.first), lines, largestEpoch }
}

function text(value: string): string {
  return `"${value}"`
}

function quorumOf({ quorum, kind }: Line, names: ReadonlyMap<string, string>): string {
  if (kind === 'crash' || kind === 'kill') return '<<>>'
  const { leaderEpoch, leaderId, voted, quarantine } = quorum
  const lead = leaderId < 0 ? 'none' : `n${leaderId}`
  return `<<${leaderEpoch}, ${text(lead)}, ${text(voted === null ? 'none' : nameOf(voted, names))}, ${text(quarantine)}>>`
}

function nameOf(key: ReplicaKey, names: ReadonlyMap<string, string>): string {
  return names.get(replicaText(key)) ?? (key.directoryId === zeroUuid ? `n${key.id}` : 'unknown')
}

function argumentOf({ kind, candidate, claim, former }: Line, names: ReadonlyMap<string, string>): string {
  if (kind === 'replace') return text(names.get(former)!)
  if (candidate !== null)
    return `<<${text(names.get(candidate.from)!)}, ${candidate.epoch}, <<${candidate.place.join(', ')}>>>>`
  if (claim === null) return '<<>>'
  const { from, epoch, place, upto, quarantined } = claim
  return `<<${text(names.get(from)!)}, ${epoch}, <<${place.join(', ')}>>, ${upto}, ${String(quarantined).toUpperCase()}>>`
}

function alike(a: readonly Entry[], b: readonly Entry[]): number {
  let n = 0
  while (n < a.length && n < b.length && isSame(a[n]!, b[n]!)) n++
  return n
}

function isSame(a: Entry, b: Entry): boolean {
  if (a.kind !== b.kind || a.epoch !== b.epoch) return false
  if (a.kind === 'r') return a.value === (b as typeof a).value
  return a.kind === 'm' || a.voters.join() === (b as typeof a).voters.join()
}

function entryText(entry: Entry, names: ReadonlyMap<string, string>): string {
  if (entry.kind === 'm') return `<<"m", ${entry.epoch}>>`
  if (entry.kind === 'r') return `<<"r", ${entry.epoch}, ${entry.value}>>`
  return `<<"v", ${entry.epoch}, {${entry.voters.map((voter) => text(names.get(voter)!)).join(', ')}}>>`
}

/** A TLA+ module with traces of one group of worlds: what tla/Replayed.tla extends. */
export function moduleOf(traces: readonly Trace[]): string {
  const nodes = Object.assign({}, ...traces.map((trace) => trace.nodes)) as Record<string, string>
  const set = (list: readonly string[]): string => `{${list.map(text).join(', ')}}`
  const chunks = traces.map(
    ({ lines, founders, first }, index) =>
      `Trace${index + 1} == [founders |-> ${set(founders)}, first |-> ${set(first)}, lines |-> <<\n${lines.join(',\n')}\n>>]`,
  )
  return [
    '------------------------------- MODULE Traces -------------------------------',
    'EXTENDS Integers, Sequences',
    ...chunks,
    `Recorded == <<${traces.map((_, index) => `Trace${index + 1}`).join(', ')}>>`,
    `TraceReplica == ${set(Object.keys(nodes))}`,
    `TraceNodeOf == [r \\in TraceReplica |-> CASE ${Object.entries(nodes)
      .map(([replica, node]) => `r = ${text(replica)} -> ${text(node)}`)
      .join(' [] ')}]`,
    `TraceFounders == ${set(traces[0]!.founders)}`,
    `TraceEpochs == ${Math.max(...traces.map(({ largestEpoch }) => largestEpoch))}`,
    '=============================================================================',
    '',
  ].join('\n')
}
