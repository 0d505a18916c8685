/** How the report looks: one column on a phone, two where there is room; light or dark as the reader's system is. */
export const pageStyle = `
:root { color-scheme: light dark; --paper: #fbfaf7; --card: #ffffff; --ink: #23211d; --soft: #6a655c; --rule: #e4dfd5;
  --grid: #ece8df; --journal: #c8501e; --batch: #1f6fb2; --append: #a5509a; --none: #1d8a63; --interval: #3a9cc4;
  --bytes: #b98512; --records: #7467b8; --floor: #8b867c; --good: #1d8a63; --warn: #a86a08; }
@media (prefers-color-scheme: dark) { :root { --paper: #191816; --card: #22211e; --ink: #ece8e0; --soft: #a49e92;
  --rule: #3a3733; --grid: #33312d; --journal: #f2814e; --batch: #6db3f0; --append: #d78acb; --none: #53c596;
  --interval: #7cc7e8; --bytes: #e3b34c; --records: #a99df0; --floor: #98928a; --good: #53c596; --warn: #e3b34c; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI",
  Roboto, sans-serif; -webkit-text-size-adjust: 100%; }
main { max-width: 1080px; margin: 0 auto; padding: 36px 20px 64px; }
h1 { font-size: clamp(1.7rem, 5vw, 2.5rem); line-height: 1.15; margin: 0 0 6px; letter-spacing: -0.02em; text-wrap: balance; }
h2 { font-size: 1.08rem; margin: 0 0 2px; letter-spacing: -0.005em; }
p { margin: 0 0 12px; } .lead, .note, figcaption { color: var(--soft); } .note, figcaption { font-size: 0.88rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 14px; margin: 26px 0; }
.tile, section { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; }
.tile { padding: 16px 18px; } .tile b { display: block; font-size: 1.9rem; line-height: 1.2; letter-spacing: -0.02em;
  font-variant-numeric: tabular-nums; } .tile span { color: var(--soft); font-size: 0.88rem; }
.tile.main b { color: var(--journal); }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr)); gap: 18px; }
section { padding: 18px 18px 14px; min-width: 0; } section.wide { grid-column: 1 / -1; margin-top: 0; }
figure { margin: 0; } svg { display: block; width: 100%; height: auto; margin: 8px 0 4px; }
.grid { stroke: var(--grid); stroke-width: 1; } .level { stroke: var(--ink); stroke-width: 1; stroke-dasharray: 2 3; }
.tick { fill: var(--soft); font-size: 12px; font-variant-numeric: tabular-nums; } .axis { fill: var(--ink); font-size: 12.5px; }
.name { fill: var(--ink); }
.line { fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linejoin: round; } .line circle { fill: currentColor;
  stroke: var(--card); stroke-width: 1.2; } .line.dashed polyline { stroke-dasharray: 5 4; } .line.bold { stroke-width: 3.2; }
.bar { fill: currentColor; }
.none { color: var(--none); } .interval { color: var(--interval); } .bytes { color: var(--bytes); }
.records { color: var(--records); } .journal { color: var(--journal); } .batch { color: var(--batch); }
.append { color: var(--append); } .floor { color: var(--floor); } .other { color: var(--soft); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 14px; margin: 0; padding: 0; list-style: none; font-size: 0.85rem; }
.legend li { display: inline-flex; align-items: center; gap: 6px; } .legend i { width: 20px; border-top: 3px solid currentColor; }
.legend .dashed i { border-top-style: dashed; border-top-width: 2px; } .legend em { color: var(--ink); font-style: normal; }
ul.said { margin: 6px 0 0; padding-left: 20px; } ul.said li { margin: 5px 0; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: 0.88rem; }
th, td { text-align: left; padding: 6px 12px 6px 0; border-bottom: 1px solid var(--rule); white-space: nowrap; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; } th { color: var(--soft); font-weight: 600; }
.yes { color: var(--good); font-weight: 600; } .part { color: var(--warn); }
details { margin-top: 14px; } summary { cursor: pointer; font-weight: 600; } code { font-size: 0.9em; }
@media (max-width: 520px) { .tick { font-size: 14.5px; } .axis { font-size: 15px; } main { padding: 24px 12px 48px; }
  .tiles { gap: 10px; } section { padding: 14px 12px 12px; } .tile b { font-size: 1.5rem; } }
@media print { .tile, section { break-inside: avoid; } }
`

/** A whole page with nothing loaded from elsewhere. `body` is HTML, `title` is text that is escaped already. */
export function htmlPage(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${pageStyle}</style>
</head>
<body>
<main>
${body}
</main>
</body>
</html>
`
}
