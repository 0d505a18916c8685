/** The size field of a frame: a signed 32-bit number, so that a lie shows as a negative one. */
export function readFrameSize(bytes: Uint8Array): number {
  return (bytes[0]! << 24) | (bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!
}

const httpMethods = new Set(['GET ', 'POST', 'HEAD', 'PUT ', 'DELE', 'OPTI', 'PATC', 'CONN', 'TRAC', 'PRI '])

const httpText = 'This is a Kafka port: it speaks the Kafka protocol, not HTTP.\n'

/** What a browser, a health check or a scraper on the wrong port is told. */
const httpAnswer = Buffer.from(
  `HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: ${httpText.length}\r\nConnection: close\r\n\r\n${httpText}`,
)

/**
 * What a size field that is no size says about the sender: a sentence for the log and, for HTTP, an answer that
 * its client understands.
 */
export function whatIsIt(
  sizeField: Uint8Array,
  lengthBytes: number,
  maxBytes: number,
): { readonly answer: Uint8Array | null; readonly description: string } {
  if (httpMethods.has(Buffer.from(sizeField.subarray(0, 4)).toString('latin1'))) {
    return { answer: httpAnswer, description: 'it sent HTTP to the Kafka port' }
  }
  if (sizeField[0] === 0x16 && sizeField[1] === 0x03) {
    return { answer: null, description: 'it started TLS on a listener without TLS' }
  }
  const description =
    lengthBytes < 0
      ? `it announced a request of ${lengthBytes} bytes`
      : `it announced a request of ${lengthBytes} bytes; socket.request.max.bytes is ${maxBytes}`
  return { answer: null, description }
}
