/** What becomes of a setting that Kafka has and cordwood does not. */
export interface KafkaSetting {
  /**
   * `same`: it asks for what is so in any case. `ignored`: nothing that anybody relies on changes without it. `refused`:
   * leaving it out would break a promise.
   */
  readonly verdict: 'same' | 'ignored' | 'refused'
  /** Why, as the second half of a sentence. */
  readonly why: string
}

interface Rule extends KafkaSetting {
  readonly names: RegExp
  /** Values under which it says what is so anyway. */
  readonly harmless?: RegExp
}

/** `(?:a\.b|c\.d)` as a whole name. */
function exactly(...names: readonly string[]): RegExp {
  return new RegExp(`^(?:${names.join('|').replaceAll('.', '\\.')})$`)
}

const ignored = (names: RegExp, why: string): Rule => ({ verdict: 'ignored', names, why })
const refused = (names: RegExp, why: string, harmless?: RegExp): Rule => ({
  verdict: 'refused',
  names,
  why,
  ...(harmless === undefined ? {} : { harmless }),
})

/** The first rule that fits decides. Source: Kafka documentation, "Broker Configs" (4.3). */
const rules: readonly Rule[] = [
  refused(
    exactly('security.inter.broker.protocol'),
    'there is no TLS and no SASL yet, only PLAINTEXT',
    /^PLAINTEXT$/i,
  ),
  refused(
    exactly('listener.security.protocol.map'),
    'there is no TLS and no SASL yet, only PLAINTEXT',
    // Kafka's own example maps names that no listener has.
    /^\s*(?:[\w.-]+:PLAINTEXT|SSL:SSL|SASL_PLAINTEXT:SASL_PLAINTEXT|SASL_SSL:SASL_SSL)(?:\s*,\s*(?:[\w.-]+:PLAINTEXT|SSL:SSL|SASL_PLAINTEXT:SASL_PLAINTEXT|SASL_SSL:SASL_SSL))*\s*$/i,
  ),
  refused(
    /^(?:ssl|sasl|delegation\.token)\.|^(?:security\.providers|connections\.max\.reauth\.ms|connection\.failed\.authentication\.delay\.ms)$/,
    'there is no TLS and no SASL yet',
  ),
  refused(
    exactly('authorizer.class.name', 'super.users', 'principal.builder.class', 'early.start.listeners'),
    'there are no ACLs yet',
    /^$/,
  ),
  refused(/^zookeeper\./, 'there is no ZooKeeper; nodes find each other through controller.quorum.voters'),
  refused(exactly('remote.log.storage.system.enable'), 'there is no tiered storage', /^false$/i),
  ignored(
    /^remote\.(?:log|fetch|list)\.|^follower\.fetch\.last\.tiered\.offset\.enable$/,
    'there is no tiered storage',
  ),
  refused(
    exactly('replica.selector.class'),
    'consumers with a client.rack are always sent to a replica in it, and there is no other way',
    /^org\.apache\.kafka\.common\.replica\.RackAwareReplicaSelector$/,
  ),
  refused(
    /\.policy\.class\.name$|^(?:client\.quota\.callback\.class|config\.providers|metric\.reporters|kafka\.metrics\.reporters|group\.(?:consumer|share)\.assignors)$/,
    'it names a class of a Java program; metrics are on cordwood.metrics.listener',
    /^$/,
  ),
  refused(
    exactly('max.connections.per.ip', 'max.connections.per.ip.overrides', 'max.connection.creation.rate'),
    'there is no such limit; max.connections bounds them all',
    /^(?:|2147483647)$/,
  ),
  refused(exactly('controlled.shutdown.enable'), 'leaders are always handed over first', /^true$/i),
  refused(exactly('log.cleaner.enable'), 'compacted topics are always compacted', /^true$/i),
  refused(exactly('metadata.log.dir'), 'metadata is in log.dirs'),
  refused(
    exactly('cordoned.log.dirs', 'transaction.two.phase.commit.enable'),
    'cordwood has nothing like it',
    /^(?:|false)$/,
  ),
  ignored(
    /threads(?:\.per\.data\.dir)?$|^(?:num\.replica\.fetchers|queued\.max\.requests)$/,
    'there are no thread pools to size',
  ),
  ignored(
    /^(?:socket\.(?:send|receive)\.buffer\.bytes|socket\.(?:listen\.backlog\.size|connection\.setup\.timeout(?:\.max)?\.ms)|(?:replica|controller)\.socket\.(?:receive\.buffer\.bytes|timeout\.ms))$/,
    'the system chooses the sizes and times of sockets',
  ),
  ignored(
    /purgatory\.purge\.interval\.requests$|^(?:max\.incremental\.fetch\.session\.cache\.slots|max\.request\.partition\.size\.limit)$/,
    'it tunes an inner part of Kafka that is not here',
  ),
  ignored(
    /^(?:transaction|transactional|add\.partitions\.to\.txn)\.|^producer\.id\.expiration\.check\.interval\.ms$/,
    'there are no transactions yet; requests for them are refused',
  ),
  ignored(/^(?:share\.|group\.share\.)/, 'there are no share groups'),
  ignored(/^group\.streams\./, 'there are no streams groups'),
  ignored(
    /^group\.consumer\.|^group\.coordinator\./,
    'groups speak the classic protocol, which needs no such setting',
  ),
  ignored(
    /quota\.window\.(?:num|size\.seconds)$|^(?:metrics|kafka\.metrics|telemetry)\./,
    'there are no quotas and no metrics kept over windows',
  ),
  ignored(
    /^log\.cleaner\.(?:io\.buffer\.size|io\.buffer\.load\.factor|io\.max\.bytes\.per\.second)$/,
    'compaction bounds itself',
  ),
  ignored(
    /^replica\.(?:fetch\.|lag\.time\.max\.ms$|high\.watermark\.checkpoint)|^request\.timeout\.ms$|^(?:alter\.log\.dirs\.replication)/,
    'replicas follow by Raft, which paces itself',
  ),
  ignored(
    // By name, not by family: what is misspelt here would start a node with other neighbours than those that were meant.
    /^metadata\.(?:log\.(?:max\.snapshot\.interval\.ms|segment\.(?:min\.)?(?:bytes|ms))|max\.(?:idle\.interval\.ms|retention\.(?:bytes|ms)))$|^controller\.quorum\.(?:append\.linger|election\.(?:backoff\.max|timeout)|fetch\.timeout|request\.timeout|retry\.backoff)\.ms$|^controller\.quorum\.fetch\.(?:snapshot\.)?max\.bytes$|^controller\.performance\.(?:always\.log\.threshold|sample\.period)\.ms$|^initial\.broker\.registration\.timeout\.ms$|^server\.max\.startup\.time\.ms$/,
    'the metadata log sees to itself',
  ),
  ignored(
    /^(?:auto\.leader\.rebalance\.enable|leader\.imbalance\.check\.interval\.seconds|unclean\.leader\.election\.interval\.ms)$/,
    'leaders go back to the preferred replicas by themselves',
  ),
  ignored(
    /^offsets\.(?:commit\.timeout\.ms|load\.buffer\.size|topic\.compression\.codec)$/,
    'the log of offsets sees to itself',
  ),
  ignored(
    /^log\.(?:dir\.failure\.timeout\.ms|flush\.start\.offset\.checkpoint\.interval\.ms|initial\.task\.delay\.ms)$|^internal\.|^unstable\./,
    'it tunes an inner part of Kafka that is not here',
  ),
]

/** What `name=value` means to cordwood, which has no such setting itself; null when Kafka has none either. */
export function kafkaSetting(name: string, value: string): KafkaSetting | null {
  const rule = rules.find(({ names }) => names.test(name))
  if (rule === undefined) return null
  const { harmless, verdict, why } = rule
  return { verdict: harmless?.test(value) === true ? 'same' : verdict, why }
}
