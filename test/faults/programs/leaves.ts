// Makes what a chaos run makes, and waits to be killed. Says what it has made, as JSON, in a line.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { networkPrefix, runPrefix, throttleGroup, throttles } from '../../chaos/leftovers.ts'
import { Network } from '../../chaos/network.ts'
import { TestDisk } from '../support/disks.ts'
import { noteMaker } from '../support/maker.ts'

const directory = mkdtempSync(join(tmpdir(), runPrefix))
noteMaker(directory)
const network = new Network(networkPrefix(directory))
network.add('n1', 1)
const disk = TestDisk.ext4(16)
const group = throttleGroup(directory, 'n1')
if (existsSync(throttles)) mkdirSync(group)
// Keeps the disk in use, as a broker does.
const [program, ...args] = network.command('n1', ['sh', '-c', 'cd "$0" && sleep 600', disk.path])
const { pid } = spawn(program!, args, { stdio: 'ignore' })
const namespaces = ['sw', 'n1'].map((name) => `/run/netns/${networkPrefix(directory)}${name}`)
process.stdout.write(`${JSON.stringify({ directory, namespaces, disk: disk.path, group, pid })}\n`)
