/** An append whose success the writer was told. */
export interface Acknowledged {
  readonly log: number
  readonly baseOffset: number
  readonly count: number
  /** Number of its first record; the others follow. */
  readonly firstId: number
}

/** A record that a new start found. */
export interface Found {
  readonly log: number
  readonly offset: number
  /** -1 when its bytes are not what anybody wrote. */
  readonly id: number
}

/** All that a new start found. */
export interface Stored {
  readonly records: readonly Found[]
  /** Logs that could not be read, with the reason. */
  readonly failed: readonly string[]
}

/** Acknowledged records that are not where they were said to be, one line each. */
export function lost(acknowledged: readonly Acknowledged[], stored: Stored): string[] {
  const ids = new Map(stored.records.map(({ log, offset, id }) => [`${log}/${offset}`, id]))
  const missing: string[] = []
  for (const { log, baseOffset, count, firstId } of acknowledged) {
    for (let index = 0; index < count; index++) {
      const found = ids.get(`${log}/${baseOffset + index}`)
      if (found === firstId + index) continue
      missing.push(`log ${log} offset ${baseOffset + index}: ${firstId + index} acknowledged, ${found} found`)
    }
  }
  return missing
}

/** Whatever must not be there: foreign bytes, holes, records twice, or a writer's records out of order. */
export function wrong(stored: Stored): string[] {
  const problems = [...stored.failed]
  const nextOffset = new Map<number, number>()
  const lastId = new Map<string, number>()
  for (const { log, offset, id } of stored.records) {
    const expected = nextOffset.get(log) ?? 0
    if (offset !== expected) problems.push(`log ${log}: offset ${offset} follows ${expected - 1}`)
    nextOffset.set(log, offset + 1)
    if (id < 0) {
      problems.push(`log ${log} offset ${offset}: nobody wrote this`)
      continue
    }
    const writer = `${log}/${Math.floor(id / 1e9)}`
    if (id <= (lastId.get(writer) ?? -1))
      problems.push(`log ${log} offset ${offset}: ${id} again or too late`)
    lastId.set(writer, id)
  }
  return problems
}
