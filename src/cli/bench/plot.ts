/** One line of a plot. `className` carries its colour, so that light and dark need one drawing. */
export interface Series {
  readonly name: string
  readonly className: string
  /** Dashed lines are drawn thin, behind the others. */
  readonly dashed: boolean
  readonly bold: boolean
  /** Ascending by x. */
  readonly points: readonly { readonly x: number; readonly y: number; readonly title: string }[]
}

/** How one axis is drawn. */
export interface Axis {
  readonly label: string
  readonly scale: 'linear' | 'log'
  readonly text: (value: number) => string
  /** Where there are lines and numbers; chosen by the values when absent. */
  readonly ticks?: readonly number[]
}

/** A plot of lines. */
export interface LinePlot {
  /** Read out in place of the picture. */
  readonly summary: string
  readonly x: Axis
  readonly y: Axis
  readonly series: readonly Series[]
  /** A horizontal line with a meaning of its own. */
  readonly level?: { readonly y: number; readonly label: string }
}

/** Small enough that letters stay legible on a phone, where it takes the whole width. */
const width = 460
const height = 300
const frame = { left: 56, right: 26, top: 26, bottom: 44 } as const
const innerWidth = width - frame.left - frame.right
const innerHeight = height - frame.top - frame.bottom

/** The plot as one `<svg>`; it has no fixed size and takes its colours from the page. */
export function linePlot({ summary, x, y, series, level }: LinePlot): string {
  const points = series.flatMap((each) => each.points)
  const xs = points.map((point) => point.x)
  const ys = [...points.map((point) => point.y), ...(level === undefined ? [] : [level.y])]
  const across = scaleFor(x, xs, x.ticks ?? ticksFor(x, xs))
  const up = scaleFor(y, ys, y.ticks ?? ticksFor(y, ys))
  const atX = (value: number): number => frame.left + across.at(value) * innerWidth
  const atY = (value: number): number => frame.top + (1 - up.at(value)) * innerHeight
  const parts: string[] = []
  for (const tick of up.ticks) {
    const at = fixed(atY(tick))
    parts.push(`<line class="grid" x1="${frame.left}" x2="${width - frame.right}" y1="${at}" y2="${at}"/>`)
    parts.push(
      `<text class="tick" x="${frame.left - 7}" y="${at}" dy="4" text-anchor="end">${escapeHtml(y.text(tick))}</text>`,
    )
  }
  for (const tick of across.ticks) {
    const at = fixed(atX(tick))
    parts.push(`<line class="grid" x1="${at}" x2="${at}" y1="${frame.top}" y2="${height - frame.bottom}"/>`)
    parts.push(
      `<text class="tick" x="${at}" y="${height - frame.bottom + 17}" text-anchor="middle">${escapeHtml(x.text(tick))}</text>`,
    )
  }
  parts.push(
    `<text class="axis" x="${frame.left + innerWidth / 2}" y="${height - 8}" text-anchor="middle">${escapeHtml(x.label)}</text>`,
  )
  parts.push(`<text class="axis" x="4" y="14">${escapeHtml(y.label)}</text>`)
  if (level !== undefined) {
    const at = fixed(atY(level.y))
    parts.push(`<line class="level" x1="${frame.left}" x2="${width - frame.right}" y1="${at}" y2="${at}"/>`)
    parts.push(
      `<text class="tick" x="${width - frame.right - 4}" y="${at}" dy="-5" text-anchor="end">${escapeHtml(level.label)}</text>`,
    )
  }
  for (const each of series.toSorted((left, right) => Number(left.bold) - Number(right.bold))) {
    const place = each.points.map((point) => `${fixed(atX(point.x))},${fixed(atY(point.y))}`)
    const classes = `line ${each.className}${each.dashed ? ' dashed' : ''}${each.bold ? ' bold' : ''}`
    parts.push(`<g class="${classes}">`)
    if (place.length > 1) parts.push(`<polyline points="${place.join(' ')}"/>`)
    for (const point of each.points) {
      const title = `<title>${escapeHtml(point.title)}</title>`
      parts.push(
        `<circle cx="${fixed(atX(point.x))}" cy="${fixed(atY(point.y))}" r="${each.bold ? 4.2 : 3.2}">${title}</circle>`,
      )
    }
    parts.push('</g>')
  }
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(summary)}">${parts.join('')}</svg>`
}

/** One bar of a chart. */
export interface Bar {
  readonly name: string
  readonly className: string
  readonly value: number
  readonly text: string
}

/** Horizontal bars, one below the other, with their figures. */
export function barChart(summary: string, bars: readonly Bar[]): string {
  const rowHeight = 30
  const left = 78
  const most = Math.max(...bars.map(({ value }) => value), 1e-9)
  const room = width - left - 64
  const rows = bars.map(({ name, className, value, text }, index) => {
    const top = index * rowHeight + 6
    const long = Math.max(2, (value / most) * room)
    return [
      `<text class="tick name" x="${left - 8}" y="${top + 14}" text-anchor="end">${escapeHtml(name)}</text>`,
      `<rect class="bar ${className}" x="${left}" y="${top}" width="${fixed(long)}" height="20" rx="3"/>`,
      `<text class="tick name" x="${fixed(left + long + 7)}" y="${top + 14}">${escapeHtml(text)}</text>`,
    ].join('')
  })
  const tall = bars.length * rowHeight + 8
  return `<svg viewBox="0 0 ${width} ${tall}" role="img" aria-label="${escapeHtml(summary)}">${rows.join('')}</svg>`
}

/** `text` as it has to stand in HTML, attributes too. */
export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}

interface Scale {
  readonly ticks: readonly number[]
  /** 0 at the axis' beginning, 1 at its end. */
  at(value: number): number
}

function scaleFor({ scale }: Axis, values: readonly number[], ticks: readonly number[]): Scale {
  const all = [...values, ...ticks]
  const of = scale === 'log' ? (value: number): number => Math.log10(Math.max(value, 1e-9)) : Number
  const low = Math.min(...all.map(of))
  const high = Math.max(...all.map(of))
  const span = high - low || 1
  return { ticks, at: (value) => (of(value) - low) / span }
}

/** Round numbers around `values`: decades with 1, 2 and 5 where there are few, or four to six equal steps from 0. */
export function ticksFor({ scale }: Pick<Axis, 'scale'>, values: readonly number[]): number[] {
  const high = Math.max(...values, scale === 'log' ? 1e-9 : 0)
  if (scale === 'linear') {
    const step = niceStep(high / 4)
    const count = Math.max(1, Math.ceil(high / step - 1e-9))
    return Array.from({ length: count + 1 }, (_, index) => Number((index * step).toPrecision(12)))
  }
  const low = Math.min(...values.filter((value) => value > 0), high)
  const decades = Math.log10(high / low)
  const steps = decades > 2.5 ? [1] : decades > 1.2 ? [1, 3] : [1, 2, 5]
  const all: number[] = []
  for (let power = Math.floor(Math.log10(low)) - 1; power <= Math.ceil(Math.log10(high)); power++) {
    for (const step of steps) all.push(Number((step * 10 ** power).toPrecision(6)))
  }
  const first = Math.max(
    0,
    all.findLastIndex((tick) => tick <= low * 1.0001),
  )
  const last = all.findIndex((tick) => tick >= high * 0.9999)
  return all.slice(first, last < 0 ? undefined : last + 1)
}

function niceStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1e-9)))
  const step = [1, 2, 2.5, 5, 10].find((each) => each * power >= rough) ?? 10
  return step * power
}

function fixed(value: number): string {
  return value.toFixed(1)
}
