import { spawnSync } from 'node:child_process'

/** What a packet filter of a node drops: from whom it hears nothing, whom it does not reach. */
export interface Cuts {
  readonly deafTo: readonly string[]
  readonly muteTo: readonly string[]
}

const filter = `table inet chaos {
  set deaf { type ipv4_addr; }
  set mute { type ipv4_addr; }
  chain incoming { type filter hook input priority 0; ip saddr @deaf drop; }
  chain outgoing { type filter hook output priority 0; ip daddr @mute drop; }
}`

/**
 * One network namespace per member behind a bridge that only they can reach. Nothing of it touches the machine's own
 * network. `remove` has to be called whatever happens.
 */
export class Network {
  readonly #prefix: string
  readonly #switch: string
  readonly #members = new Map<
    string,
    { readonly namespace: string; readonly port: string; address: string }
  >()

  /** `prefix` keeps runs on one machine apart; at most 11 characters, since names of interfaces are short. */
  constructor(prefix: string) {
    this.#prefix = prefix
    this.#switch = `${prefix}sw`
    ip('netns', 'add', this.#switch)
    ip('-n', this.#switch, 'link', 'add', 'br0', 'type', 'bridge')
    ip('-n', this.#switch, 'link', 'set', 'br0', 'up')
  }

  /** Adds a member; `host` is the last byte of its address. */
  add(name: string, host: number): void {
    const namespace = `${this.#prefix}${name}`
    const port = `${this.#prefix}${name}`
    ip('netns', 'add', namespace)
    const address = `10.77.0.${host}`
    this.#members.set(name, { namespace, port, address })
    ip('link', 'add', port, 'netns', this.#switch, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace)
    ip('-n', this.#switch, 'link', 'set', port, 'master', 'br0', 'up')
    ip('-n', namespace, 'addr', 'add', `${address}/24`, 'dev', 'eth0')
    ip('-n', namespace, 'link', 'set', 'eth0', 'up')
    ip('-n', namespace, 'link', 'set', 'lo', 'up')
    this.#in(name, ['nft', '-f', '-'], filter)
  }

  /** The address of a member. */
  address(name: string): string {
    return this.#of(name).address
  }

  /**
   * The command line that runs `command` at a member. Not `ip netns exec`: that gives it mounts of its own, which keep a disk that
   * was unmounted here in use.
   */
  command(name: string, command: readonly string[]): readonly string[] {
    return ['nsenter', `--net=/run/netns/${this.#of(name).namespace}`, '--', ...command]
  }

  /** Drops what the cuts say, at `name`, beside what is dropped already. */
  cut(name: string, { deafTo, muteTo }: Cuts): void {
    for (const [set, others] of [
      ['deaf', deafTo],
      ['mute', muteTo],
    ] as const) {
      if (others.length === 0) continue
      const addresses = others.map((other) => this.address(other)).join(', ')
      this.#in(name, ['nft', 'add', 'element', 'inet', 'chaos', set, `{ ${addresses} }`])
    }
  }

  /** Pulls the cable of a member, or puts it back. */
  cable(name: string, isIn: boolean): void {
    ip('-n', this.#switch, 'link', 'set', this.#of(name).port, isIn ? 'up' : 'down')
  }

  /** Loses this share of the packets that come to a member. */
  lose(name: string, probability: number): void {
    const chance = ['-m', 'statistic', '--mode', 'random', '--probability', `${probability}`]
    this.#in(name, ['iptables', '-A', 'INPUT', '-i', 'eth0', ...chance, '-j', 'DROP'])
  }

  /** Lets a member send this many kilobits a second. */
  slow(name: string, kilobits: number): void {
    const shape = ['tbf', 'rate', `${kilobits}kbit`, 'burst', '3000', 'latency', '2000ms']
    this.#in(name, ['tc', 'qdisc', 'replace', 'dev', 'eth0', 'root', ...shape])
  }

  /** Takes back everything that was done to the packets of all members. */
  heal(): void {
    for (const name of this.#members.keys()) {
      this.#in(name, ['nft', 'flush', 'set', 'inet', 'chaos', 'deaf'])
      this.#in(name, ['nft', 'flush', 'set', 'inet', 'chaos', 'mute'])
      this.#in(name, ['iptables', '-F', 'INPUT'])
      // It fails where nothing was slowed.
      const [program, ...args] = this.command(name, ['tc', 'qdisc', 'del', 'dev', 'eth0', 'root'])
      spawnSync(program!, args)
      this.cable(name, true)
    }
  }

  /** Removes all namespaces, and with them the interfaces. */
  remove(): void {
    for (const { namespace } of this.#members.values()) spawnSync('ip', ['netns', 'del', namespace])
    this.#members.clear()
    spawnSync('ip', ['netns', 'del', this.#switch])
  }

  #of(name: string): { readonly namespace: string; readonly port: string; readonly address: string } {
    const member = this.#members.get(name)
    if (member === undefined) throw new Error(`the network has no member ${name}`)
    return member
  }

  #in(name: string, command: readonly string[], input = ''): void {
    const [program, ...args] = this.command(name, command)
    run(program!, args, input)
  }
}

function ip(...args: string[]): void {
  run('ip', args, '')
}

function run(command: string, args: readonly string[], input: string): void {
  const { status, stderr, error } = spawnSync(command, args, { input, encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed: ${error?.message ?? stderr}`)
}
