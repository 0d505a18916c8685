import type { Histogram } from '../../model/histogram.ts'

/** The labels of one series. */
export type Labels = Readonly<Record<string, string | number>>

/** One line of an answer to Prometheus. */
export interface Sample {
  /** That of the family, or a part of a histogram. */
  readonly metricName?: string
  readonly labels: Labels
  readonly value: number
}

/** Everything under one name. */
export interface Family {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly values: Sample[]
}

/** Gathers families in the order in which their names come first. */
export class Families {
  readonly #byName = new Map<string, Family>()

  /** All of them. */
  all(): readonly Family[] {
    return [...this.#byName.values()]
  }

  /** What only grows; by Prometheus' custom its name ends with `_total`. */
  counter(name: string, help: string, value: number, labels: Labels = {}): void {
    this.#family(name, help, 'counter').values.push({ labels, value })
  }

  /** What is so at the moment. */
  gauge(name: string, help: string, value: number, labels: Labels = {}): void {
    this.#family(name, help, 'gauge').values.push({ labels, value })
  }

  /** Announces a family, so that it is there without series too. */
  none(name: string, help: string, type: Family['type'] = 'gauge'): void {
    this.#family(name, help, type)
  }

  /** `scale` times the values of `histogram`, for units: 0.001 makes seconds of milliseconds. */
  histogram(name: string, help: string, histogram: Histogram, scale: number, labels: Labels = {}): void {
    const { values } = this.#family(name, help, 'histogram')
    const { bounds, counts } = histogram
    let below = 0
    for (let at = 0; at < bounds.length; at++) {
      below += counts[at]!
      // Rounded, because 0.1 times 0.001 is not 0.0001.
      const le = Number((bounds[at]! * scale).toPrecision(12))
      values.push({ metricName: `${name}_bucket`, labels: { ...labels, le }, value: below })
    }
    values.push({ metricName: `${name}_bucket`, labels: { ...labels, le: '+Inf' }, value: histogram.count })
    values.push({ metricName: `${name}_sum`, labels, value: histogram.sum * scale })
    values.push({ metricName: `${name}_count`, labels, value: histogram.count })
  }

  #family(name: string, help: string, type: Family['type']): Family {
    const known = this.#byName.get(name)
    if (known !== undefined) return known
    const family: Family = { name, help, type, values: [] }
    this.#byName.set(name, family)
    return family
  }
}
