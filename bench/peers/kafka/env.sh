# Shared settings of the Kafka peer rig (sourced, not run).
PEERS_DIR=${PEERS_DIR:-$HOME/.peers}
KAFKA_VERSION=${KAFKA_VERSION:-4.3.1}
KAFKA_HOME_DIR=$PEERS_DIR/kafka
KLIBS=$KAFKA_HOME_DIR/libs
KDATA=${KAFKA_DATA:-$KAFKA_HOME_DIR/data} # one folder per node: n1, n2, n3
KRUN=${KAFKA_RUN:-$KAFKA_HOME_DIR/run}    # pid files, server.properties, logs
KPORT=${KAFKA_PORT:-29092}                # node 1; the next nodes take the next ports, controllers 100 higher
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
JAVA=${JAVA:-java}
# Kafka's own tools: small heap, quiet log4j2.
ktool() { # ktool CLASS ARGS...
  "$JAVA" -Xms256m -Xmx${TOOL_HEAP:-512m} -XX:+UseG1GC -XX:MaxGCPauseMillis=20 \
    -Dlog4j2.configurationFile="$HERE/log4j2-tools.properties" -cp "$KLIBS/*" "$@"
}
# Noise of other work on the machine.
stat_cpu() { awk '/^cpu /{b=$2+$3+$4+$7+$8+$9; print b, b+$5+$6}' /proc/stat; }          # busy, total (ticks)
pids_cpu() { local s=0 p; for p in "$@"; do s=$((s + $(sed 's/.*) //' /proc/$p/stat 2>/dev/null | awk '{print $12+$13+0}'))); done; echo "$s"; }
# quiet: wait until the machine is under 20 % busy over a second, QUIET_S seconds at most (default 0: do not wait)
quiet() { local i a b; for i in $(seq "${QUIET_S:-0}"); do
    a=$(stat_cpu); sleep 1; b=$(stat_cpu)
    [ "$(echo "$a $b" | awk '{print (($3-$1)/($4-$2) < 0.2)}')" = 1 ] && return 0
  done; }
