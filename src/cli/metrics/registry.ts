import { setImmediate } from 'node:timers/promises'
import { collectDefaultMetrics, type Metric, Registry } from 'prom-client'
import type { Family } from './families.ts'

/** Series that are written in one go: one to two milliseconds, in which nobody is served. */
const samplesAtOnce = 300

/** Writes families as Prometheus reads them, beside what Node tells of the process: `process_*`, `nodejs_*`. */
export class MetricsText {
  readonly #process = new Registry()

  constructor() {
    collectDefaultMetrics({ register: this.#process })
  }

  /** What `text` gives, as HTTP names it. */
  get contentType(): string {
    return this.#process.contentType
  }

  /** One answer. Others have their turn while it is written, however many series there are. */
  async text(families: readonly Family[]): Promise<string> {
    const parts: string[] = []
    let samples = 0
    for (const family of families) {
      for (let from = 0; from === 0 || from < family.values.length; from += samplesAtOnce) {
        const values = family.values.slice(from, from + samplesAtOnce)
        const text = await written({ ...family, values })
        parts.push(from === 0 ? text : withoutHead(text))
        samples += values.length
        if (samples < samplesAtOnce) continue
        samples = 0
        await setImmediate()
      }
    }
    return `${parts.join('')}${await this.#process.metrics()}`
  }
}

async function written(family: Family): Promise<string> {
  const registry = new Registry()
  // The registry only asks for this; the values were there before it was made.
  const metric = { ...family, get: async () => family }
  registry.registerMetric(metric as unknown as Metric<string>)
  return registry.metrics()
}

/** Without the lines HELP and TYPE, which a family has once. */
function withoutHead(text: string): string {
  return text.replace(/^(?:#.*\n){2}/, '')
}
