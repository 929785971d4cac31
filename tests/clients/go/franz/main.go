// The program of franz-go.
package main

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	. "chronik/clients/speech"
)

func main() {
	Run(map[string]func(Arguments){
		"produce": produce, "read": read, "member": member, "share": share, "transact": transact, "copy": copyInTransactions, "admin": admin,
	})
}

func client(arguments Arguments, options ...kgo.Opt) *kgo.Client {
	made, err := kgo.NewClient(append(options, kgo.SeedBrokers(arguments.List("bootstrap")...))...)
	Must(err)
	return made
}

func produce(arguments Arguments) {
	producer := client(arguments, kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer producer.Close()
	var records []*kgo.Record
	for number, value := range arguments.List("values") {
		partition := int32(number % arguments.Number("partitions"))
		records = append(records, &kgo.Record{Topic: arguments["topic"], Partition: partition, Value: []byte(value)})
	}
	Must(producer.ProduceSync(context.Background(), records...).FirstErr())
	for _, record := range records {
		Say("produced", Event{"partition": record.Partition, "offset": record.Offset})
	}
}

func read(arguments Arguments) {
	isolation := kgo.ReadUncommitted()
	if arguments["isolation"] == "read_committed" {
		isolation = kgo.ReadCommitted()
	}
	consumer := client(arguments, kgo.Rack(arguments["rack"]), kgo.FetchIsolationLevel(isolation), kgo.ConsumePartitions(
		map[string]map[int32]kgo.Offset{arguments["topic"]: {0: kgo.NewOffset().AtStart()}},
	))
	defer consumer.Close()
	for left := arguments.Number("count"); left > 0; {
		left -= len(sayAll(poll(context.Background(), consumer)))
	}
}

func poll(ended context.Context, consumer *kgo.Client) []*kgo.Record {
	fetches := consumer.PollFetches(ended)
	if ended.Err() == nil {
		Must(fetches.Err())
	}
	return fetches.Records()
}

func sayAll(records []*kgo.Record) []*kgo.Record {
	for _, record := range records {
		Say("record", Event{"partition": record.Partition, "offset": record.Offset, "value": string(record.Value)})
	}
	return records
}

func member(arguments Arguments) {
	ended := UntilInputEnds()
	var lock sync.Mutex
	assigned := map[int32]bool{}
	changed := func(has bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
			lock.Lock()
			defer lock.Unlock()
			for _, partition := range topics[arguments["topic"]] {
				if has {
					assigned[partition] = true
				} else {
					delete(assigned, partition)
				}
			}
			partitions := []int32{}
			for partition := range assigned {
				partitions = append(partitions, partition)
			}
			sort.Slice(partitions, func(i, j int) bool { return partitions[i] < partitions[j] })
			Say("assigned", Event{"partitions": partitions})
		}
	}
	consumer := client(arguments, kgo.ConsumerGroup(arguments["group"]), kgo.ConsumeTopics(arguments["topic"]),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(), kgo.HeartbeatInterval(200*time.Millisecond),
		kgo.OnPartitionsAssigned(changed(true)), kgo.OnPartitionsRevoked(changed(false)), kgo.OnPartitionsLost(changed(false)))
	for ended.Err() == nil {
		if records := sayAll(poll(ended, consumer)); len(records) > 0 {
			Must(consumer.CommitRecords(context.Background(), records...))
			Say("committed", nil)
		}
		consumer.AllowRebalance()
	}
	consumer.Close()
}

func share(arguments Arguments) {
	ended := UntilInputEnds()
	released := arguments["release"]
	// Set when what was said of records did not count.
	failed := make(chan error, 1)
	consumer := client(arguments, kgo.ShareGroup(arguments["group"]), kgo.ConsumeTopics(arguments["topic"]),
		kgo.ShareAckCallback(func(_ *kgo.Client, results kgo.ShareAckResults) {
			if err := results.Error(); err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		}))
	for ended.Err() == nil {
		records := poll(ended, consumer)
		for _, record := range records {
			accepted := record.DeliveryCount() > 1 || released == "" || !strings.HasSuffix(string(record.Value), released)
			status := kgo.AckAccept
			if !accepted {
				status = kgo.AckRelease
			}
			record.Ack(status)
			Say("record", Event{"partition": record.Partition, "offset": record.Offset, "value": string(record.Value),
				"deliveries": record.DeliveryCount(), "accepted": accepted})
		}
		if len(records) > 0 {
			Must(consumer.FlushAcks(context.Background()))
			select {
			case err := <-failed:
				Must(err)
			default:
			}
			Say("committed", nil)
		}
	}
	consumer.Close()
}

func transact(arguments Arguments) {
	producer := client(arguments, kgo.TransactionalID(arguments["id"]), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer producer.Close()
	for _, transaction := range Transactions {
		Must(producer.BeginTransaction())
		for number := range 2 {
			value := fmt.Sprintf("%s-%d", transaction.Name, number)
			Must(producer.ProduceSync(context.Background(), &kgo.Record{Topic: arguments["topic"], Value: []byte(value)}).FirstErr())
		}
		Must(producer.EndTransaction(context.Background(), kgo.TransactionEndTry(transaction.Kept)))
		Say("ended", Event{"how": How(transaction.Kept)})
	}
}

func copyInTransactions(arguments Arguments) {
	session, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(arguments.List("bootstrap")...),
		kgo.TransactionalID(arguments["id"]), kgo.ConsumerGroup(arguments["group"]), kgo.ConsumeTopics(arguments["topic"]),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.RequireStableFetchOffsets(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	Must(err)
	kept := arguments["end"] == "commit"
	for left := arguments.Number("count"); left > 0; {
		fetches := session.PollFetches(context.Background())
		Must(fetches.Err())
		Must(session.Begin())
		records := fetches.Records()
		for _, record := range records {
			copied := &kgo.Record{Topic: arguments["target"], Value: record.Value}
			Must(session.ProduceSync(context.Background(), copied).FirstErr())
		}
		committed, err := session.End(context.Background(), kgo.TransactionEndTry(kept))
		Must(err)
		if committed != kept {
			panic("the group was rebalanced")
		}
		left -= len(records)
		Say("copied", Event{"count": len(records)})
	}
	session.Close()
}

func admin(arguments Arguments) {
	background, topic := context.Background(), arguments["topic"]
	connected := client(arguments)
	defer connected.Close()
	administrator := kadm.NewClient(connected)
	retention := "60000"
	_, err := administrator.CreateTopic(background, 2, 3, map[string]*string{"retention.ms": &retention}, topic)
	Must(err)
	Say("created", nil)
	sayListed(arguments)
	sayRetention(administrator, topic)
	longer := "120000"
	altered, err := administrator.AlterTopicConfigs(background,
		[]kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &longer}}, topic)
	Must(err)
	Must(altered[0].Err)
	Say("altered", nil)
	sayRetention(administrator, topic)
	grown, err := administrator.UpdatePartitions(background, 4, topic)
	Must(err)
	Must(grown.Error())
	Say("grown", nil)
	topics, err := administrator.ListTopics(background, topic)
	Must(err)
	Say("partitions", Event{"count": len(topics[topic].Partitions)})
	deleted, err := administrator.DeleteTopics(background, topic)
	Must(err)
	Must(deleted.Error())
	Say("deleted", nil)
	sayListed(arguments)
}

// A client of its own, because a client answers for some time from the metadata it has.
func sayListed(arguments Arguments) {
	connected := client(arguments)
	defer connected.Close()
	topics, err := kadm.NewClient(connected).ListTopics(context.Background())
	Must(err)
	Say("listed", Event{"found": topics.Has(arguments["topic"])})
}

func sayRetention(administrator *kadm.Client, topic string) {
	described, err := administrator.DescribeTopicConfigs(context.Background(), topic)
	Must(err)
	for _, config := range described[0].Configs {
		if config.Key == "retention.ms" {
			Say("config", Event{"value": config.MaybeValue()})
		}
	}
}
