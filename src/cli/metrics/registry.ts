import { collectDefaultMetrics, type Metric, Registry } from 'prom-client'
import type { Family } from './families.ts'

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

  /** One answer. */
  async text(families: readonly Family[]): Promise<string> {
    const registry = new Registry()
    for (const family of families) {
      // The registry only asks for this; the values were there before it was made.
      const metric = { ...family, get: async () => family }
      registry.registerMetric(metric as unknown as Metric<string>)
    }
    return `${await registry.metrics()}\n${await this.#process.metrics()}`
  }
}
