/** The same bytes in memory of their own. Not `slice`: on a Buffer, which decoded bytes may be, that is a view. */
export function copyBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes)
}
