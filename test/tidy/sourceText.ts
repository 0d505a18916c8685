/** What `blank` leaves standing. */
export interface Kept {
  /** Text inside quotes and of templates. Default false. */
  readonly strings?: boolean
}

/** Words after which a slash begins a regular expression and not a division. */
const beforePattern = /(?:^|[^\w$.])(?:return|typeof|case|in|of|do|else|void|delete|throw|new|await|yield)$/

/**
 * TypeScript with comments, strings and regular expressions turned into blanks, so that a search for a word finds
 * code only. Line breaks stay, and every character that stays keeps its position. What stands between `${` and `}`
 * is code.
 */
export function blank(text: string, kept: Kept = {}): string {
  const out = text.split('')
  const erase = (from: number, to: number): void => {
    for (let at = from; at < to; at++) if (out[at] !== '\n') out[at] = ' '
  }
  /** Depth of braces at which each open template goes on. */
  const templates: number[] = []
  let depth = 0
  let at = 0
  const template = (from: number): void => {
    at = endOfTemplate(text, from)
    if (!kept.strings) erase(from, text.startsWith('${', at) ? at : at - 1)
    if (!text.startsWith('${', at)) return
    templates.push(depth)
    at += 2
  }
  while (at < text.length) {
    const from = at
    const char = text[at]!
    if (text.startsWith('//', at)) {
      at = text.indexOf('\n', at)
      if (at === -1) at = text.length
      erase(from, at)
    } else if (text.startsWith('/*', at)) {
      at = text.indexOf('*/', at + 2)
      at = at === -1 ? text.length : at + 2
      erase(from, at)
    } else if (char === "'" || char === '"') {
      at = endOfQuoted(text, at)
      if (!kept.strings) erase(from + 1, at - 1)
    } else if (char === '`') template(at + 1)
    else if (char === '}' && templates.at(-1) === depth) {
      templates.pop()
      template(at + 1)
    } else if (char === '/' && beginsPattern(out, at)) {
      at = endOfPattern(text, at)
      erase(from + 1, at - 1)
    } else {
      if (char === '{') depth++
      else if (char === '}') depth--
      at++
    }
  }
  return out.join('')
}

/** The number of the line, from 1, on which `position` lies. */
export function lineAt(text: string, position: number): number {
  let line = 1
  for (let at = text.indexOf('\n'); at !== -1 && at < position; at = text.indexOf('\n', at + 1)) line++
  return line
}

function endOfQuoted(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '\\') at++
    else if (text[at] === text[start] || text[at] === '\n') return at + 1
  }
  return text.length
}

/** Where the text of a template stops: after its closing backtick, or at the `${` of an expression. */
function endOfTemplate(text: string, start: number): number {
  for (let at = start; at < text.length; at++) {
    if (text[at] === '\\') at++
    else if (text[at] === '`') return at + 1
    else if (text.startsWith('${', at)) return at
  }
  return text.length
}

function beginsPattern(out: readonly string[], slash: number): boolean {
  let at = slash - 1
  while (at >= 0 && /\s/.test(out[at]!)) at--
  if (at < 0) return true
  if (/[\w$]/.test(out[at]!)) return beforePattern.test(out.slice(Math.max(0, at - 12), at + 1).join(''))
  return !/[)\]}'"`.]/.test(out[at]!)
}

function endOfPattern(text: string, start: number): number {
  let inClass = false
  for (let at = start + 1; at < text.length && text[at] !== '\n'; at++) {
    if (text[at] === '\\') at++
    else if (text[at] === '[') inClass = true
    else if (text[at] === ']') inClass = false
    else if (text[at] === '/' && !inClass) return at + 1
  }
  return start + 1
}
