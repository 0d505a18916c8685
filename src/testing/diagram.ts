import type { TraceEvent } from './trace.ts'

/** How a diagram is to be. */
export interface DiagramOptions {
  readonly title: string
  /** How many of the last events are shown; 160 by default. */
  readonly most?: number
}

const left = 96
const column = 190
const rowHeight = 15
const top = 74
/** Messages that take longer than so many rows are drawn faintly. */
const mostRows = 25

/**
 * A space-time diagram as SVG: time goes down, one line for each node with the colour of what it is, messages as arrows,
 * lost ones as short dashed ones, faults across. Rows are events, not milliseconds, so that nothing lies on top of another.
 */
export function diagram(events: readonly TraceEvent[], { title, most = 160 }: DiagramOptions): string {
  const shown = events.slice(-most)
  const nodes = [...new Set(shown.flatMap(({ node, to }) => [node, to]))]
    .filter((node) => node >= 0)
    .sort((a, b) => a - b)
  const rows = rowsOf(shown)
  const width = left + column * Math.max(1, nodes.length) + 40
  const height = top + rowHeight * (rows.size + 2)
  const x = (node: number): number => left + column * nodes.indexOf(node) + column / 2
  const y = (order: number): number => top + rowHeight * (rows.get(order) ?? 0)
  const bottom = height - rowHeight
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${escaped(title)}</title>`,
    style,
    `<rect class="page" width="${width}" height="${height}"/>`,
    `<text class="title" x="16" y="24">${escaped(title)}</text>`,
    ...legend(width),
    ...times(shown, y),
    ...nodes.map((node) => `<text class="name" x="${x(node)}" y="${top - 14}">node ${node}</text>`),
    ...nodes.flatMap((node) => lifeline(node, shown, events, x(node), y, bottom)),
    ...shown.flatMap((event) => mark(event, x, y, width)),
    '</svg>',
  ]
  return `${parts.join('\n')}\n`
}

/** The row of each event and each arrival, by order. */
function rowsOf(events: readonly TraceEvent[]): ReadonlyMap<number, number> {
  const orders = events.flatMap(({ order, arrivedOrder }) =>
    arrivedOrder < 0 ? [order] : [order, arrivedOrder],
  )
  return new Map([...new Set(orders)].sort((a, b) => a - b).map((order, row) => [order, row]))
}

function times(events: readonly TraceEvent[], y: (order: number) => number): readonly string[] {
  let last = Number.NEGATIVE_INFINITY
  return events.flatMap(({ order, atMs }) => {
    const at = y(order)
    if (at - last < 3 * rowHeight) return []
    last = at
    return [`<text class="time" x="${left - 14}" y="${at + 4}">${atMs.toFixed(1)} ms</text>`]
  })
}

/** A node's line, piece by piece in the colour of its state; no line while it is down. */
function lifeline(
  node: number,
  shown: readonly TraceEvent[],
  all: readonly TraceEvent[],
  x: number,
  y: (order: number) => number,
  bottom: number,
): readonly string[] {
  const first = shown[0]
  if (first === undefined) return []
  const before = all.findLast(
    (event) => event.node === node && event.order < first.order && changesLine(event),
  )
  let state = before === undefined ? 'unknown' : stateOf(before)
  let from = top
  const pieces: string[] = []
  const piece = (to: number): void => {
    pieces.push(`<line class="life ${state}" x1="${x}" y1="${from}" x2="${x}" y2="${to}"/>`)
    from = to
  }
  for (const event of shown) {
    if (event.node !== node || !changesLine(event)) continue
    piece(y(event.order))
    state = stateOf(event)
  }
  piece(bottom)
  return pieces
}

function changesLine({ kind }: TraceEvent): boolean {
  return kind === 'state' || kind === 'stop' || kind === 'start'
}

function stateOf({ kind, state }: TraceEvent): string {
  if (kind === 'stop') return 'down'
  return kind === 'start' ? 'unknown' : (state ?? 'unknown')
}

function mark(
  event: TraceEvent,
  x: (node: number) => number,
  y: (order: number) => number,
  width: number,
): readonly string[] {
  const at = y(event.order)
  const text = escaped(event.text)
  if (event.kind === 'send') return arrow(event, x, y)
  if (event.node < 0 || event.kind === 'fault') {
    return [
      `<line class="fault" x1="${left - 8}" y1="${at}" x2="${width - 16}" y2="${at}"/>`,
      `<text class="faultText" x="${width - 18}" y="${at - 3}">${text}</text>`,
    ]
  }
  return [
    `<circle class="dot ${event.kind}" cx="${x(event.node)}" cy="${at}" r="3.5"/>`,
    `<text class="${event.kind}" x="${x(event.node) + 8}" y="${at + 4}">${text}</text>`,
  ]
}

function arrow(
  event: TraceEvent,
  x: (node: number) => number,
  y: (order: number) => number,
): readonly string[] {
  const from = x(event.node)
  const at = y(event.order)
  const target = x(event.to)
  const isLost = event.arrivedOrder < 0
  const to = isLost ? from + (target - from) * 0.35 : target
  const end = isLost ? at + rowHeight * 0.6 : y(event.arrivedOrder)
  const direction = Math.sign(to - from) || 1
  const angle = Math.atan2(end - at, to - from)
  const tip = (turn: number): string =>
    `${(to - 7 * Math.cos(angle + turn)).toFixed(1)},${(end - 7 * Math.sin(angle + turn)).toFixed(1)}`
  const kind = /^(PreVote|Vote)/.test(event.text)
    ? 'vote'
    : /^(Begin|End)/.test(event.text)
      ? 'epoch'
      : 'fetch'
  const shape = isLost
    ? `<text class="lost" x="${to + 4 * direction}" y="${end + 4}">×</text>`
    : `<polygon class="tip ${kind}" points="${to},${end} ${tip(0.4)} ${tip(-0.4)}"/>`
  const isLate = !isLost && end - at > mostRows * rowHeight
  const label =
    kind === 'fetch'
      ? ''
      : `<text class="label" x="${from + 8 * direction}" y="${at - 3}" text-anchor="${direction > 0 ? 'start' : 'end'}">${escaped(event.text)}</text>`
  return [
    `<g><title>${escaped(event.text)}</title><line class="message ${kind}${isLost ? ' gone' : isLate ? ' late' : ''}" x1="${from}" y1="${at}" x2="${to}" y2="${end}"/>${shape}${label}</g>`,
  ]
}

function legend(width: number): readonly string[] {
  const names = [
    'leader',
    'candidate',
    'prospective',
    'follower',
    'voted',
    'unattached',
    'observer',
    'resigned',
  ]
  const step = Math.min(96, (width - 32) / names.length)
  return names.map(
    (name, index) =>
      `<line class="life ${name}" x1="${16 + index * step}" y1="40" x2="${30 + index * step}" y2="40"/><text class="legend" x="${34 + index * step}" y="44">${name}</text>`,
  )
}

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}

const style = `<style>
svg { --page: #ffffff; --ink: #1f2328; --dim: #6e7781; --line: #afb8c1; --bad: #cf222e;
  --leader: #1a7f37; --candidate: #bf3989; --prospective: #d4a72c; --follower: #0969da; --voted: #8250df; --observer: #57606a; --resigned: #bc4c00; }
@media (prefers-color-scheme: dark) { svg { --page: #0d1117; --ink: #e6edf3; --dim: #8b949e; --line: #484f58; --bad: #ff7b72;
  --leader: #3fb950; --candidate: #f778ba; --prospective: #e3b341; --follower: #58a6ff; --voted: #bc8cff; --observer: #8b949e; --resigned: #f0883e; } }
.page { fill: var(--page) } text { font: 10px ui-monospace, monospace; fill: var(--ink) }
.title { font-size: 13px; font-weight: 600 } .name { text-anchor: middle; font-weight: 600; font-size: 12px }
.time { text-anchor: end; fill: var(--dim) } .legend, .label { fill: var(--dim) } .label { font-size: 9px }
.life { stroke: var(--line); stroke-width: 4; stroke-linecap: butt } .life.down { stroke-dasharray: 2 6; stroke-width: 1 }
.life.leader { stroke: var(--leader); stroke-width: 8 } .life.candidate { stroke: var(--candidate) } .life.prospective { stroke: var(--prospective) }
.life.follower { stroke: var(--follower) } .life.voted { stroke: var(--voted) } .life.observer { stroke: var(--observer) } .life.resigned { stroke: var(--resigned) }
.message { stroke: var(--line); stroke-width: 1 } .message.vote { stroke: var(--candidate) } .message.epoch { stroke: var(--leader) } .message.gone { stroke-dasharray: 3 3 } .message.late { opacity: .3 }
.tip { fill: var(--line) } .tip.vote { fill: var(--candidate) } .tip.epoch { fill: var(--leader) } .lost { fill: var(--bad) }
.fault { stroke: var(--bad); stroke-dasharray: 6 3 } .faultText { fill: var(--bad); text-anchor: end } .dot { fill: var(--ink) } .dot.commit { fill: var(--leader) }
.dot.alarm, .dot.stop { fill: var(--bad) } text.alarm, text.stop { fill: var(--bad) } text.commit { fill: var(--leader) }
</style>`
