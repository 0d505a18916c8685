/** A running hash of numbers, 64 bits in two halves: equal numbers in equal order give equal text on every machine. */
export class TraceHash {
  #a = 0x811c9dc5
  #b = 0x9e3779b9
  #count = 0

  /** How many numbers went in. */
  get count(): number {
    return this.#count
  }

  /** Takes a number in. Fractions count in millionths. */
  add(value: number): void {
    const scaled = Number.isInteger(value) ? value : Math.round(value * 1e6)
    const low = scaled | 0
    const high = Math.trunc(scaled / 2 ** 32) | 0
    this.#a = Math.imul(this.#a ^ low, 0x01000193)
    this.#a = Math.imul(this.#a ^ high ^ (this.#a >>> 15), 0x01000193)
    this.#b = Math.imul((this.#b << 5) ^ (this.#b >>> 2) ^ low ^ this.#a, 0x85ebca6b) ^ high
    this.#count++
  }

  /** Takes the text's length and characters in. */
  addText(text: string): void {
    this.add(text.length)
    for (let at = 0; at < text.length; at++) this.add(text.charCodeAt(at))
  }

  /** What has come together so far, as 16 hexadecimal digits. */
  get hex(): string {
    const half = (value: number): string => (value >>> 0).toString(16).padStart(8, '0')
    return half(this.#a ^ (this.#b >>> 7)) + half(this.#b ^ this.#count)
  }
}
