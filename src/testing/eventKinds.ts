/** What an event of the queue is, as a number for the trace. */
export const EventKind = {
  fault: 0,
  timer: 1,
  disk: 2,
  delivery: 3,
  connection: 4,
  start: 5,
  client: 6,
} as const

/** One of `EventKind`. */
export type EventKind = (typeof EventKind)[keyof typeof EventKind]
