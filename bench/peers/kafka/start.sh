#!/usr/bin/env bash
# Start real Kafka in KRaft combined mode on loopback, from an empty data folder.
#   start.sh [--nodes 1|3] [--keep] [--conf k=v ...]
# Broker ports KAFKA_PORT (29092) and up, controller ports 100 higher. --keep starts on the data that is there.
# Prints one JSON line: seconds until every node answers, seconds until the first acknowledged record, RSS, pids.
# FIRST_PRODUCE=0 leaves the first record (and its topic "warmup") out.
set -euo pipefail
. "$(dirname "$0")/env.sh"
NODES=1 KEEP=0 CONF=()
while [ $# -gt 0 ]; do case $1 in
  --nodes) NODES=$2; shift 2;;
  --keep) KEEP=1; shift;;
  --conf) shift; while [ $# -gt 0 ] && [[ $1 != --* ]]; do CONF+=("$1"); shift; done;;
  *) echo "unknown argument $1" >&2; exit 2;;
esac; done
HEAP=${KAFKA_HEAP:-1g}; DIR_BASE=$KDATA
"$HERE/stop.sh" >/dev/null || true
mkdir -p "$KRUN"
[ $KEEP = 1 ] || rm -rf "$DIR_BASE"
CLUSTER=${KAFKA_CLUSTER_ID:-MkU3OEVBNTcwNTJENDM2Qk}
voters="" boot=""
for i in $(seq 1 "$NODES"); do
  voters+="${voters:+,}$i@127.0.0.1:$((KPORT+99+i))"; boot+="${boot:+,}127.0.0.1:$((KPORT-1+i))"
done
RF=$NODES; MINISR=1; [ "$NODES" = 3 ] && MINISR=2
for i in $(seq 1 "$NODES"); do
  p=$KRUN/n$i.properties
  cat > "$p" <<X
process.roles=broker,controller
node.id=$i
listeners=PLAINTEXT://127.0.0.1:$((KPORT-1+i)),CONTROLLER://127.0.0.1:$((KPORT+99+i))
advertised.listeners=PLAINTEXT://127.0.0.1:$((KPORT-1+i))
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.quorum.voters=$voters
log.dirs=$DIR_BASE/n$i
offsets.topic.replication.factor=$RF
transaction.state.log.replication.factor=$RF
transaction.state.log.min.isr=$MINISR
share.coordinator.state.topic.replication.factor=$RF
share.coordinator.state.topic.min.isr=$MINISR
default.replication.factor=$RF
min.insync.replicas=$MINISR
group.initial.rebalance.delay.ms=0
X
  for c in ${CONF[@]+"${CONF[@]}"}; do echo "$c" >> "$p"; done
  mkdir -p "$DIR_BASE/n$i"
  "$JAVA" -Dlog4j2.configurationFile="$HERE/log4j2-tools.properties" -cp "$KLIBS/*" \
    kafka.tools.StorageTool format --ignore-formatted -t "$CLUSTER" -c "$p" >/dev/null
done
now() { date +%s.%N; }
t0=$(now)
for i in $(seq 1 "$NODES"); do
  # same collector flags as the upstream start script
  setsid "$JAVA" -Xms$HEAP -Xmx$HEAP -server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 \
    -XX:InitiatingHeapOccupancyPercent=35 -XX:+ExplicitGCInvokesConcurrent \
    -Dlog4j2.configurationFile="$HERE/log4j2-broker.properties" -cp "$KLIBS/*" \
    kafka.Kafka "$KRUN/n$i.properties" >"$KRUN/n$i.log" 2>&1 </dev/null &
  echo $! > "$KRUN/n$i.pid"
done
for i in $(seq 1 "$NODES"); do # "Kafka Server started" is logged once the socket accepts requests
  until grep -q "Kafka Server started" "$KRUN/n$i.log"; do
    kill -0 "$(cat "$KRUN/n$i.pid")" 2>/dev/null || { tail -20 "$KRUN/n$i.log" >&2; exit 1; }
    sleep 0.05
  done
done
t1=$(now)
# First acknowledged record (auto-created topic), through kcat when it is installed: it starts in milliseconds.
first=null
if [ "${FIRST_PRODUCE:-1}" = 1 ] && command -v kcat >/dev/null; then
  until echo hi | timeout 20 kcat -q -P -b "$boot" -t warmup -X acks=all -X message.timeout.ms=15000 >/dev/null 2>&1; do sleep 0.05; done
  first=$(echo "$(now) $t0" | awk '{printf "%.2f",$1-$2}')
fi
rss=$(for i in $(seq 1 "$NODES"); do awk '/VmRSS/{print $2}' /proc/$(cat "$KRUN/n$i.pid")/status; done | paste -sd+ | xargs -I{} sh -c 'echo $(( ({})/1024 ))')
awk -v a="$t0" -v b="$t1" -v f="$first" -v r="$rss" -v n="$NODES" -v s="$boot" -v p="$(cat "$KRUN"/n*.pid | paste -sd,)" \
  'BEGIN{printf "{\"nodes\":%d,\"bootstrap\":\"%s\",\"ready_s\":%.2f,\"first_produce_s\":%s,\"rss_mib_total\":%d,\"pids\":[%s]}\n",n,s,b-a,f,r,p}'
