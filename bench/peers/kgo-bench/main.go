// kgo-bench: a small franz-go load generator, one JSON line per phase.
//
//	kgo-bench -b 127.0.0.1:29092 -n 1000000 -size 1024 -parts 10 -acks all
//
// Phases: produce (throughput and per-record latency as a caller sees it, from Produce to its promise),
// consume (everything that was produced), e2e (one record at a time: Produce to Poll).
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var (
	boot   = flag.String("b", "127.0.0.1:29092", "bootstrap addresses")
	topic  = flag.String("t", "", "topic (made with -parts/-rf when absent; default a fresh name)")
	n      = flag.Int("n", 1000000, "records")
	size   = flag.Int("size", 1024, "value bytes")
	parts  = flag.Int("parts", 1, "partitions")
	rf     = flag.Int("rf", 1, "replication factor")
	acks   = flag.String("acks", "all", "0, 1 or all")
	linger = flag.Duration("linger", 5*time.Millisecond, "linger")
	batch  = flag.Int("batch", 1000012, "max batch bytes")
	codec  = flag.String("codec", "none", "none, gzip, snappy, lz4, zstd")
	rate   = flag.Int("rate", 0, "records/s, 0 = as fast as possible")
	window = flag.Int("window", 10000, "records buffered in the client at most (sets the queueing latency)")
	e2e    = flag.Int("e2e", 0, "also: this many one-at-a-time produce-to-poll round trips")
	phases = flag.String("phases", "produce,consume", "phases to run")
	warm   = flag.Int("warm", -1, "records sent first and not counted (default n/10, at most 100000)")
	name   = flag.String("name", "", "case name in the output")
	keep   = flag.Bool("keep", true, "keep the topic")
)

func die(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "kgo-bench:", err)
		os.Exit(1)
	}
}

type result struct {
	Case  string  `json:"case"`
	Phase string  `json:"phase"`
	N     int     `json:"n"`
	Secs  float64 `json:"s"`
	RecS  float64 `json:"rec_s"`
	MBS   float64 `json:"mb_s"` // MiB/s, as Kafka's tools count
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	Max   float64 `json:"max"`
	Errs  int64   `json:"errors"`
}

func report(phase string, n int, d time.Duration, lat []int64, errs int64) {
	r := result{Case: *name, Phase: phase, N: n, Secs: round(d.Seconds()), RecS: round(float64(n) / d.Seconds()),
		MBS: round(float64(n) * float64(*size) / d.Seconds() / (1 << 20)), Errs: errs}
	if len(lat) > 0 {
		sort.Slice(lat, func(i, j int) bool { return lat[i] < lat[j] })
		at := func(q float64) float64 { return round(float64(lat[int(q*float64(len(lat)-1))]) / 1e6) }
		r.P50, r.P95, r.P99, r.P999, r.Max = at(.5), at(.95), at(.99), at(.999), at(1)
	}
	b, _ := json.Marshal(r)
	fmt.Println(string(b))
}

func round(f float64) float64 { return float64(int64(f*1000+.5)) / 1000 }

func opts() []kgo.Opt {
	o := []kgo.Opt{kgo.SeedBrokers(strings.Split(*boot, ",")...), kgo.DefaultProduceTopic(*topic),
		kgo.ProducerLinger(*linger), kgo.ProducerBatchMaxBytes(int32(*batch)), kgo.MaxBufferedRecords(*window),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()),
		kgo.FetchMaxBytes(50 << 20), kgo.FetchMaxPartitionBytes(1 << 20)}
	switch *acks {
	case "0":
		o = append(o, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	case "1":
		o = append(o, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	case "all":
		o = append(o, kgo.RequiredAcks(kgo.AllISRAcks()))
	default:
		die(fmt.Errorf("acks %q", *acks))
	}
	c := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	cc, ok := c[*codec]
	if !ok {
		die(fmt.Errorf("codec %q", *codec))
	}
	return append(o, kgo.ProducerBatchCompression(cc))
}

func create(cl *kgo.Client) {
	req := kmsg.NewPtrCreateTopicsRequest()
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = *topic, int32(*parts), int16(*rf)
	req.Topics, req.TimeoutMillis = append(req.Topics, t), 60000
	resp, err := req.RequestWith(context.Background(), cl)
	die(err)
	if e := kerr.ErrorForCode(resp.Topics[0].ErrorCode); e != nil && e != kerr.TopicAlreadyExists {
		die(e)
	}
	// wait until every partition has a leader
	for i := 0; i < 600; i++ {
		m := kmsg.NewPtrMetadataRequest()
		mt := kmsg.NewMetadataRequestTopic()
		mt.Topic = kmsg.StringPtr(*topic)
		m.Topics = append(m.Topics, mt)
		r, err := m.RequestWith(context.Background(), cl)
		if err == nil && len(r.Topics) == 1 && len(r.Topics[0].Partitions) >= *parts {
			ok := true
			for _, p := range r.Topics[0].Partitions {
				ok = ok && p.Leader >= 0 && p.ErrorCode == 0
			}
			if ok {
				return
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	die(fmt.Errorf("topic %s has no leaders after 30 s", *topic))
}

func value(i int) []byte { // random letters, as ProducerPerformance sends
	v := make([]byte, *size)
	r := rand.New(rand.NewSource(int64(i)))
	for j := range v {
		v[j] = byte('A' + r.Intn(26))
	}
	return v
}

func send(cl *kgo.Client, vals [][]byte, count int, lat []int64) (time.Duration, int64) {
	var wg sync.WaitGroup
	var errs atomic.Int64
	wg.Add(count)
	start := time.Now()
	for i := 0; i < count; i++ {
		if *rate > 0 {
			if due := start.Add(time.Duration(float64(i) / float64(*rate) * 1e9)); time.Until(due) > time.Millisecond {
				time.Sleep(time.Until(due))
			}
		}
		t0, i := time.Now(), i
		// Produce blocks while the window is full: that wait counts.
		cl.Produce(context.Background(), &kgo.Record{Value: vals[i%len(vals)]}, func(_ *kgo.Record, err error) {
			if err != nil {
				errs.Add(1)
			}
			if lat != nil {
				lat[i] = int64(time.Since(t0))
			}
			wg.Done()
		})
	}
	wg.Wait()
	return time.Since(start), errs.Load()
}

func main() {
	flag.Parse()
	if *topic == "" {
		*topic = fmt.Sprintf("kgo-bench-%d", time.Now().UnixNano())
	}
	if *name == "" {
		*name = fmt.Sprintf("kgo/%dB/acks=%s/parts=%d/%s", *size, *acks, *parts, *codec)
	}
	if *warm < 0 {
		*warm = min(*n/10, 100000)
	}
	cl, err := kgo.NewClient(opts()...)
	die(err)
	create(cl)
	vals := make([][]byte, 64)
	for i := range vals {
		vals[i] = value(i)
	}
	sent := 0
	has := func(p string) bool { return strings.Contains(","+*phases+",", ","+p+",") }
	if has("produce") {
		send(cl, vals, *warm, nil)
		lat := make([]int64, *n)
		d, errs := send(cl, vals, *n, lat)
		sent = *n + *warm
		report("produce", *n, d, lat, errs)
	}
	if has("consume") {
		want := sent
		if want == 0 {
			want = *n
		}
		c, err := kgo.NewClient(append(opts(), kgo.ConsumeTopics(*topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
		die(err)
		start, got := time.Now(), 0
		var errs int64
		for got < want {
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			f := c.PollFetches(ctx)
			cancel()
			if es := f.Errors(); len(es) > 0 {
				errs += int64(len(es))
				fmt.Fprintln(os.Stderr, "kgo-bench: fetch:", es[0].Err, "after", got)
				if es[0].Err == context.DeadlineExceeded {
					break
				}
			}
			got += f.NumRecords()
		}
		report("consume", got, time.Since(start), nil, errs)
		c.Close()
	}
	if *e2e > 0 {
		*linger = 0
		p, err := kgo.NewClient(opts()...)
		die(err)
		c, err := kgo.NewClient(append(opts(), kgo.ConsumeTopics(*topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()))...)
		die(err)
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Second)
		defer cancel()
		// settle: poll until the consumer is at the end
		sctx, sc := context.WithTimeout(ctx, 2*time.Second)
		c.PollFetches(sctx)
		sc()
		const settle = 200
		lat := make([]int64, 0, *e2e)
		var start time.Time
		v := append([]byte(nil), vals[0]...)
		if len(v) < 8 {
			v = make([]byte, 8)
		}
		for i := 0; i < settle+*e2e; i++ {
			if i == settle {
				start = time.Now()
			}
			binary.BigEndian.PutUint64(v, uint64(i)+1<<40)
			t0 := time.Now()
			done := make(chan error, 1)
			p.Produce(ctx, &kgo.Record{Value: append([]byte(nil), v...)}, func(_ *kgo.Record, err error) { done <- err })
			seen := false
			for !seen {
				f := c.PollFetches(ctx)
				die(ctx.Err())
				f.EachRecord(func(r *kgo.Record) {
					seen = seen || binary.BigEndian.Uint64(r.Value) == uint64(i)+1<<40
				})
			}
			if i >= settle {
				lat = append(lat, int64(time.Since(t0)))
			}
			die(<-done)
		}
		report("e2e", *e2e, time.Since(start), lat, 0)
		p.Close()
		c.Close()
	}
	if !*keep {
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.TopicNames = []string{*topic}
		rt := kmsg.NewDeleteTopicsRequestTopic()
		rt.Topic = kmsg.StringPtr(*topic)
		req.Topics = append(req.Topics, rt)
		_, err := req.RequestWith(context.Background(), cl)
		die(err)
	}
	cl.Close()
}
