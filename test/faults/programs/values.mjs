// What a record holds: its number and bytes that follow from it, so that a reader can tell every one from what it should be.

/** The value of record `id`: `bytes` long, or as long as its number needs. */
export function textOf(id, bytes) {
  const head = `${id}:`
  const filler = String.fromCharCode(97 + (id % 26))
  return head + filler.repeat(Math.max(0, bytes - head.length))
}

/** The number in `text`, or null when it is not what `textOf` makes. */
export function idOf(text) {
  const id = Number(text.slice(0, text.indexOf(':')))
  return Number.isSafeInteger(id) && text === textOf(id, text.length) ? id : null
}
