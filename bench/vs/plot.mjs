// The ratios as one self-contained picture.

const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
const [left, right, rowHeight, barHeight] = [330, 60, 20, 12]
const width = 860
const most = 4

/** An SVG of throughput ratios (cordwood / Kafka) on a logarithmic scale from 1/4 to 4; `rows` by policy. */
export function plot(rowsByPolicy) {
  const scale = (ratio) => {
    const bounded = Math.min(most, Math.max(1 / most, ratio))
    return left + ((Math.log2(bounded) + 2) / 4) * (width - left - right)
  }
  const parts = []
  let y = 34
  for (const [policy, all] of Object.entries(rowsByPolicy)) {
    const rows = all.filter((row) => row !== null && row.ratio !== null)
    if (rows.length === 0) continue
    const beside = policy === 'none' ? "Kafka's defaults" : 'Kafka with flush.messages=1'
    parts.push(`<text x="8" y="${y + 12}" font-weight="bold">policy ${policy} beside ${beside}</text>`)
    y += rowHeight + 4
    for (const { label, ratio } of rows) {
      const [from, to] = [Math.min(scale(1), scale(ratio)), Math.max(scale(1), scale(ratio))]
      const colour = ratio >= 1 ? '#2f6f4f' : '#a33b20'
      const bar = `<rect x="${from.toFixed(1)}" y="${y}" width="${Math.max(1, to - from).toFixed(1)}" height="${barHeight}" fill="${colour}"/>`
      const name = `<text x="${left - 8}" y="${y + 10}" text-anchor="end">${escaped(label)}</text>`
      const value = `<text x="${width - right + 8}" y="${y + 10}">${ratio.toFixed(2)} ×</text>`
      parts.push(name, bar, value)
      y += rowHeight
    }
    y += 10
  }
  const lines = [0.25, 0.5, 1, 2, 4].map((tick) => {
    const x = scale(tick).toFixed(1)
    const line = `<line x1="${x}" x2="${x}" y1="26" y2="${y}" stroke="#888" stroke-width="${tick === 1 ? 1.5 : 0.4}"/>`
    return `${line}<text x="${x}" y="20" text-anchor="middle">${tick} ×</text>`
  })
  const style = 'font-family="sans-serif" font-size="11"'
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y + 10}" ${style}>
<rect width="100%" height="100%" fill="#fff"/>
<title>Throughput of cordwood / Apache Kafka</title>
${lines.join('\n')}
${parts.join('\n')}
</svg>
`
}
