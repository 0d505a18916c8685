// What is measured, by policy. A case runs against a started server and returns { metric: number }.
import { javaConsume, javaProduce, kgoConsume, kgoProduce } from './loads.mjs'

/** Records per case: by client and record size, policy `none`; under `batch` real Kafka is several times slower. */
const counts = {
  none: {
    kgo: { 100: 3_000_000, 1024: 800_000, 10240: 80_000 },
    java: { 100: 2_000_000, 1024: 600_000, 10240: 60_000 },
    partitions: 400_000,
  },
  batch: {
    kgo: { 100: 2_000_000, 1024: 400_000, 10240: 40_000 },
    java: { 100: 600_000, 1024: 100_000, 10240: 10_000 },
    partitions: 60_000,
  },
}

/**
 * The cases of one session (one start of a server) in the order in which they run. Each has a `name` and a list
 * of `steps`; a step's figures are recorded as `name` and the step's own name.
 * `partitions` is how many its topic has, 1 when left out. `scale` multiplies the numbers of records.
 */
export function casesOf(policy, scale) {
  const of = counts[policy]
  const many = (records) => Math.max(1000, Math.round(records * scale))
  const cases = []
  for (const size of [100, 1024, 10_240]) {
    // A window of 10,000 records of 10 KiB would be 100 MiB of queue in the client.
    const load = { size, records: many(of.kgo[size]), window: size > 4096 ? 2000 : 10_000 }
    cases.push({
      name: `${policy}/kgo/${size}B`,
      steps: {
        produce: (target) => kgoProduce({ ...target, ...load }),
        consume: (target) => kgoConsume({ ...target, ...load }),
      },
    })
  }
  for (const size of [100, 1024, 10_240]) {
    const load = { size, records: many(of.java[size]) }
    const consume = policy === 'none' ? { consume: (target) => javaConsume({ ...target, ...load }) } : {}
    cases.push({
      name: `${policy}/java/${size}B`,
      steps: { produce: (target) => javaProduce({ ...target, ...load }), ...consume },
    })
  }
  for (const partitions of [1, 1000]) {
    // franz-go deals records out one by one, so a request holds a little of every partition, and the client itself
    // needs four times the CPU; with less in flight it would send a few records each. Java fills one batch after the other.
    const dealt = { size: 1024, records: many(of.partitions), partitions, acks: '1', window: 50_000 }
    const filled = { size: 1024, records: many(of.java[1024]) }
    const steps = { produce: (target) => kgoProduce({ ...target, ...dealt }) }
    if (policy === 'none') steps.consume = (target) => kgoConsume({ ...target, ...dealt })
    steps['java-produce'] = (target) => javaProduce({ ...target, ...filled, props: ['acks=1'] })
    cases.push({ name: `${policy}/partitions/${partitions}`, partitions, steps })
  }
  return cases
}

/** A load whose figures nobody looks at: either server's compiler has seen both paths before the first case. */
export async function warmUp(target, scale) {
  const load = { size: 1024, records: Math.round(300_000 * scale) }
  await kgoProduce({ ...target, ...load })
  await kgoConsume({ ...target, ...load })
}

/** Names of everything that a run records, for --list. */
export function caseNames() {
  const names = ['start/listening', 'start/idle-memory']
  for (const policy of ['none', 'batch']) {
    for (const { name, steps } of casesOf(policy, 1))
      for (const step of Object.keys(steps)) names.push(`${name}/${step}`)
    names.push(`${policy}/memory-after-load`)
  }
  return names
}
