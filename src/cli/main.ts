#!/usr/bin/env node
import { runProgram } from './program.ts'
import { processTerminal } from './terminal.ts'

const exitCode = await runProgram(process.argv.slice(2), processTerminal())
// Standard output may be a pipe that still takes bytes; sockets and timers of a command are of no use any more.
process.stdout.write('', () => process.exit(exitCode))
