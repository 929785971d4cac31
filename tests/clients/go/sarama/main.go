// The program of sarama.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/IBM/sarama"

	. "chronik/clients/speech"
)

func main() {
	Run(map[string]func(Arguments){
		"produce": produce, "read": read, "member": member, "transact": transact, "copy": copyInTransactions, "admin": admin,
	})
}

// The version is that of the protocol sarama may use, which it asks its user for; it has no way to find out.
func configuration() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Return.Errors = true
	config.Consumer.Group.Heartbeat.Interval = 200 * time.Millisecond
	return config
}

func produce(arguments Arguments) {
	producer, err := sarama.NewSyncProducer(arguments.List("bootstrap"), configuration())
	Must(err)
	for number, value := range arguments.List("values") {
		partition := int32(number % arguments.Number("partitions"))
		message := &sarama.ProducerMessage{Topic: arguments["topic"], Partition: partition, Value: sarama.StringEncoder(value)}
		_, offset, err := producer.SendMessage(message)
		Must(err)
		Say("produced", Event{"partition": partition, "offset": offset})
	}
	Must(producer.Close())
}

func read(arguments Arguments) {
	config := configuration()
	config.RackID = arguments["rack"]
	if arguments["isolation"] == "read_committed" {
		config.Consumer.IsolationLevel = sarama.ReadCommitted
	}
	consumer, err := sarama.NewConsumer(arguments.List("bootstrap"), config)
	Must(err)
	partition, err := consumer.ConsumePartition(arguments["topic"], 0, sarama.OffsetOldest)
	Must(err)
	for range arguments.Number("count") {
		select {
		case message := <-partition.Messages():
			say(message)
		case err := <-partition.Errors():
			Must(err)
		}
	}
	Must(partition.Close())
	Must(consumer.Close())
}

func say(message *sarama.ConsumerMessage) {
	Say("record", Event{"partition": message.Partition, "offset": message.Offset, "value": string(message.Value)})
}

func member(arguments Arguments) {
	ended := UntilInputEnds()
	group, err := sarama.NewConsumerGroup(arguments.List("bootstrap"), arguments["group"], configuration())
	Must(err)
	go func() {
		for err := range group.Errors() {
			fmt.Fprintln(os.Stderr, "sarama:", err)
		}
	}()
	for ended.Err() == nil {
		Must(group.Consume(ended, []string{arguments["topic"]}, &committing{arguments["topic"]}))
	}
	Must(group.Close())
}

// Commits every message after it was said.
type committing struct{ topic string }

func (handler *committing) Setup(session sarama.ConsumerGroupSession) error {
	Say("assigned", Event{"partitions": session.Claims()[handler.topic]})
	return nil
}

func (handler *committing) Cleanup(sarama.ConsumerGroupSession) error {
	Say("assigned", Event{"partitions": []int32{}})
	return nil
}

func (handler *committing) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, open := <-claim.Messages():
			if !open {
				return nil
			}
			say(message)
			session.MarkMessage(message, "")
			session.Commit()
			Say("committed", nil)
		case <-session.Context().Done():
			return nil
		}
	}
}

func transactional(arguments Arguments) sarama.SyncProducer {
	config := configuration()
	config.Producer.Idempotent = true
	config.Producer.Transaction.ID = arguments["id"]
	config.Net.MaxOpenRequests = 1
	producer, err := sarama.NewSyncProducer(arguments.List("bootstrap"), config)
	Must(err)
	return producer
}

func transact(arguments Arguments) {
	producer := transactional(arguments)
	for _, transaction := range Transactions {
		Must(producer.BeginTxn())
		for number := range 2 {
			value := sarama.StringEncoder(fmt.Sprintf("%s-%d", transaction.Name, number))
			_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: arguments["topic"], Value: value})
			Must(err)
		}
		end(producer, transaction.Kept)
		Say("ended", Event{"how": How(transaction.Kept)})
	}
	Must(producer.Close())
}

func end(producer sarama.SyncProducer, kept bool) {
	if kept {
		Must(producer.CommitTxn())
	} else {
		Must(producer.AbortTxn())
	}
}

func copyInTransactions(arguments Arguments) {
	config := configuration()
	config.Consumer.IsolationLevel = sarama.ReadCommitted
	group, err := sarama.NewConsumerGroup(arguments.List("bootstrap"), arguments["group"], config)
	Must(err)
	finished, finish := context.WithCancel(context.Background())
	handler := &copying{arguments, transactional(arguments), arguments.Number("count"), finish}
	for finished.Err() == nil {
		if err := group.Consume(finished, []string{arguments["topic"]}, handler); !errors.Is(err, context.Canceled) {
			Must(err)
		}
	}
	Must(group.Close())
	Must(handler.producer.Close())
}

// Copies each message in a transaction of its own.
type copying struct {
	arguments Arguments
	producer  sarama.SyncProducer
	left      int
	finish    context.CancelFunc
}

func (handler *copying) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (handler *copying) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (handler *copying) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		Must(handler.producer.BeginTxn())
		copied := &sarama.ProducerMessage{Topic: handler.arguments["target"], Value: sarama.ByteEncoder(message.Value)}
		_, _, err := handler.producer.SendMessage(copied)
		Must(err)
		Must(handler.producer.AddMessageToTxn(message, handler.arguments["group"], nil))
		end(handler.producer, handler.arguments["end"] == "commit")
		Say("copied", Event{"count": 1})
		if handler.left--; handler.left == 0 {
			handler.finish()
			return nil
		}
	}
	return nil
}

func admin(arguments Arguments) {
	topic := arguments["topic"]
	administrator, err := sarama.NewClusterAdmin(arguments.List("bootstrap"), configuration())
	Must(err)
	retention, longer := "60000", "120000"
	Must(administrator.CreateTopic(topic, &sarama.TopicDetail{
		NumPartitions: 2, ReplicationFactor: 3, ConfigEntries: map[string]*string{"retention.ms": &retention},
	}, false))
	Say("created", nil)
	sayListed(administrator, topic)
	sayRetention(administrator, topic)
	Must(administrator.IncrementalAlterConfig(sarama.TopicResource, topic, map[string]sarama.IncrementalAlterConfigsEntry{
		"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &longer},
	}, false))
	Say("altered", nil)
	sayRetention(administrator, topic)
	Must(administrator.CreatePartitions(topic, 4, nil, false))
	Say("grown", nil)
	described, err := administrator.DescribeTopics([]string{topic})
	Must(err)
	Say("partitions", Event{"count": len(described[0].Partitions)})
	Must(administrator.DeleteTopic(topic))
	Say("deleted", nil)
	sayListed(administrator, topic)
	Must(administrator.Close())
}

func sayListed(administrator sarama.ClusterAdmin, topic string) {
	topics, err := administrator.ListTopics()
	Must(err)
	_, found := topics[topic]
	Say("listed", Event{"found": found})
}

func sayRetention(administrator sarama.ClusterAdmin, topic string) {
	entries, err := administrator.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic})
	Must(err)
	for _, entry := range entries {
		if entry.Name == "retention.ms" {
			Say("config", Event{"value": entry.Value})
		}
	}
}
