// kgo-cat: records in and out through franz-go, for the interop tests.
//
//	kgo-cat produce -b ADDR -t TOPIC [-codec none]          lines KEY<TAB>VALUE on stdin; prints PARTITION<TAB>OFFSET<TAB>LINE per acknowledged record
//	kgo-cat consume -b ADDR -t TOPIC -n N [-g GROUP]        prints PARTITION<TAB>OFFSET<TAB>KEY<TAB>VALUE; with a group, commits at the end
//
// LINE counts stdin's lines from 0. Exits 1 when a record failed or fewer than N came within -timeout.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func die(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "kgo-cat:", err)
		os.Exit(1)
	}
}

func main() {
	if len(os.Args) < 2 {
		die(errors.New("produce or consume?"))
	}
	f := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	boot := f.String("b", "127.0.0.1:9092", "bootstrap addresses")
	topic := f.String("t", "", "topic")
	codec := f.String("codec", "none", "none, gzip, snappy, lz4, zstd")
	n := f.Int("n", 0, "records to consume")
	group := f.String("g", "", "consumer group")
	linger := f.Duration("linger", 2*time.Millisecond, "producer's linger")
	rate := f.Int("rate", 0, "records a second at most, 0 = as fast as possible")
	timeout := f.Duration("timeout", 60*time.Second, "give up after this long")
	die(f.Parse(os.Args[2:]))
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	opts := []kgo.Opt{kgo.SeedBrokers(strings.Split(*boot, ",")...)}

	if os.Args[1] == "produce" {
		codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
			"snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
		c, ok := codecs[*codec]
		if !ok {
			die(fmt.Errorf("codec %q", *codec))
		}
		cl, err := kgo.NewClient(append(opts, kgo.DefaultProduceTopic(*topic), kgo.ProducerBatchCompression(c),
			kgo.ProducerLinger(*linger))...)
		die(err)
		var lock sync.Mutex
		failed := 0
		lines := bufio.NewReaderSize(os.Stdin, 1<<20)
		begun := time.Now()
		for i := 0; ; i++ {
			if *rate > 0 && i%100 == 0 {
				time.Sleep(time.Until(begun.Add(time.Duration(i) * time.Second / time.Duration(*rate))))
			}
			line, err := lines.ReadString('\n')
			if err != nil {
				break
			}
			i := i
			key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			cl.Produce(ctx, &kgo.Record{Key: []byte(key), Value: []byte(value)}, func(r *kgo.Record, err error) {
				lock.Lock()
				defer lock.Unlock()
				if err != nil {
					failed++
					fmt.Fprintln(os.Stderr, "kgo-cat: line", i, err)
					return
				}
				fmt.Fprintf(out, "%d\t%d\t%d\n", r.Partition, r.Offset, i)
			})
		}
		die(cl.Flush(ctx))
		die(out.Flush())
		cl.Close()
		if failed > 0 {
			os.Exit(1)
		}
		return
	}

	opts = append(opts, kgo.ConsumeTopics(*topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if *group != "" {
		opts = append(opts, kgo.ConsumerGroup(*group), kgo.DisableAutoCommit())
	}
	cl, err := kgo.NewClient(opts...)
	die(err)
	got := 0
	var last []*kgo.Record
	for got < *n {
		fetches := cl.PollRecords(ctx, *n-got)
		die(ctx.Err())
		for _, e := range fetches.Errors() {
			die(e.Err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			got++
			last = append(last, r)
			fmt.Fprintf(out, "%d\t%d\t%s\t%s\n", r.Partition, r.Offset, r.Key, r.Value)
		})
	}
	if *group != "" {
		die(cl.CommitRecords(ctx, last...))
		die(cl.LeaveGroupContext(ctx))
	}
	die(out.Flush())
	cl.Close()
}
