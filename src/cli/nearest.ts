/**
 * The word of `words` that `typed` was probably meant to be, or null when none is near: at most `most` of its letters differ, a
 * third by default, two neighbours that changed places counting once.
 */
export function nearest(
  typed: string,
  words: Iterable<string>,
  most: number = Math.max(1, Math.floor(typed.length / 3)),
): string | null {
  let best: string | null = null
  let least = most + 1
  for (const word of words) {
    if (Math.abs(word.length - typed.length) >= least) continue
    const distance = editDistance(typed.toLowerCase(), word.toLowerCase())
    if (distance >= least) continue
    best = word
    least = distance
  }
  return best
}

/** Letters to insert, remove, replace or swap with their neighbour. Source: optimal string alignment distance. */
function editDistance(source: string, target: string): number {
  let before: number[] = []
  let last = Array.from({ length: target.length + 1 }, (_, at) => at)
  for (let row = 1; row <= source.length; row++) {
    const next = [row]
    for (let column = 1; column <= target.length; column++) {
      const isSame = source[row - 1] === target[column - 1]
      let cost = Math.min(last[column]! + 1, next[column - 1]! + 1, last[column - 1]! + (isSame ? 0 : 1))
      const isSwap =
        row > 1 &&
        column > 1 &&
        source[row - 1] === target[column - 2] &&
        source[row - 2] === target[column - 1]
      if (isSwap) cost = Math.min(cost, before[column - 2]! + 1)
      next.push(cost)
    }
    before = last
    last = next
  }
  return last[target.length]!
}
