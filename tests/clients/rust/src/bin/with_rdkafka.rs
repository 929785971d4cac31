//! The program of rdkafka.

use std::sync::atomic::Ordering;
use std::time::Duration;

use chronik_clients::{Arguments, TRANSACTIONS, arguments, input_ended, say, say_record};
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::OwnedMessage;
use rdkafka::producer::{BaseRecord, FutureProducer, FutureRecord, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde_json::json;

const POLL: Duration = Duration::from_millis(50);
const TIMEOUT: Duration = Duration::from_secs(30);

type TransactionalProducer = ThreadedProducer<rdkafka::producer::DefaultProducerContext>;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (job, named) = arguments();
    match job.as_str() {
        "produce" => produce(&named).await,
        "read" => read(&named),
        "member" => member(&named),
        "transact" => transact(&named),
        "copy" => copy(&named),
        "admin" => admin(&named).await,
        other => panic!("no job {other}"),
    }
}

fn configuration(named: &Arguments) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", named.get("bootstrap"));
    config
}

async fn produce(named: &Arguments) {
    let producer: FutureProducer = configuration(named).set("acks", "all").create().expect("a producer");
    let partitions = named.number("partitions");
    let mut sent = Vec::new();
    for (number, value) in named.get("values").split(',').enumerate() {
        let partition = i32::try_from(number % partitions).expect("a small number");
        let record = FutureRecord::<(), _>::to(named.get("topic")).partition(partition).payload(value);
        sent.push(producer.send_result(record).map_err(|(error, _)| error).expect("room in the queue"));
    }
    for delivery in sent {
        let written = delivery.await.expect("a delivery").expect("an acknowledgement");
        say("produced", json!({"partition": written.partition, "offset": written.offset}));
    }
}

fn read(named: &Arguments) {
    let consumer: BaseConsumer = configuration(named)
        .set("group.id", format!("{}-reader", named.get("topic")))
        .set("enable.auto.commit", "false")
        .set("client.rack", named.find("rack").unwrap_or_default())
        .set("isolation.level", named.find("isolation").unwrap_or("read_uncommitted"))
        .create()
        .expect("a consumer");
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(named.get("topic"), 0, Offset::Beginning).expect("an offset");
    consumer.assign(&partitions).expect("an assignment");
    for _ in 0..named.number("count") {
        say_message(&next(&consumer));
    }
}

fn next(consumer: &BaseConsumer) -> OwnedMessage {
    loop {
        if let Some(polled) = consumer.poll(POLL) {
            return polled.expect("a record").detach();
        }
    }
}

fn say_message(message: &OwnedMessage) {
    say_record(message.partition(), message.offset(), message.payload().unwrap_or_default());
}

fn group_consumer(named: &Arguments) -> BaseConsumer {
    let consumer: BaseConsumer = configuration(named)
        .set("group.id", named.get("group"))
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("heartbeat.interval.ms", "200")
        .set("isolation.level", "read_committed")
        .create()
        .expect("a consumer");
    consumer.subscribe(&[named.get("topic")]).expect("a subscription");
    consumer
}

fn member(named: &Arguments) {
    let ended = input_ended();
    let consumer = group_consumer(named);
    let mut assigned = None;
    while !ended.load(Ordering::SeqCst) {
        if let Some(polled) = consumer.poll(POLL) {
            let message = polled.expect("a record").detach();
            say_message(&message);
            consumer.commit(&after(&message), CommitMode::Sync).expect("a commit");
            say("committed", json!({}));
        }
        let assignment = consumer.assignment().expect("the assignment");
        let mut partitions: Vec<i32> =
            assignment.elements().iter().map(|element| element.partition()).collect();
        partitions.sort_unstable();
        if assigned.as_ref() != Some(&partitions) {
            say("assigned", json!({"partitions": partitions}));
            assigned = Some(partitions);
        }
    }
}

/// The offset to commit after a message.
fn after(message: &OwnedMessage) -> TopicPartitionList {
    let mut offsets = TopicPartitionList::new();
    offsets
        .add_partition_offset(message.topic(), message.partition(), Offset::Offset(message.offset() + 1))
        .expect("an offset");
    offsets
}

fn transactional(named: &Arguments) -> TransactionalProducer {
    let producer: TransactionalProducer =
        configuration(named).set("transactional.id", named.get("id")).create().expect("a producer");
    producer.init_transactions(TIMEOUT).expect("a producer id");
    producer
}

fn transact(named: &Arguments) {
    let producer = transactional(named);
    for (name, how) in TRANSACTIONS {
        producer.begin_transaction().expect("a transaction");
        for number in 0..2 {
            send(&producer, named.get("topic"), format!("{name}-{number}").as_bytes());
        }
        producer.flush(TIMEOUT).expect("acknowledgements");
        end(&producer, how);
        say("ended", json!({"how": how}));
    }
}

fn send(producer: &TransactionalProducer, topic: &str, value: &[u8]) {
    let record = BaseRecord::<(), _>::to(topic).partition(0).payload(value);
    producer.send(record).map_err(|(error, _)| error).expect("room in the queue");
}

fn end(producer: &TransactionalProducer, how: &str) {
    match how {
        "commit" => producer.commit_transaction(TIMEOUT).expect("a commit"),
        _ => producer.abort_transaction(TIMEOUT).expect("an abort"),
    }
}

fn copy(named: &Arguments) {
    let consumer = group_consumer(named);
    let producer = transactional(named);
    for _ in 0..named.number("count") {
        let message = next(&consumer);
        producer.begin_transaction().expect("a transaction");
        send(&producer, named.get("target"), message.payload().unwrap_or_default());
        let group = consumer.group_metadata().expect("a group");
        producer.send_offsets_to_transaction(&after(&message), &group, TIMEOUT).expect("offsets");
        end(&producer, named.get("end"));
        say("copied", json!({"count": 1}));
    }
}

async fn admin(named: &Arguments) {
    let topic = named.get("topic");
    let admin: AdminClient<DefaultClientContext> = configuration(named).create().expect("an admin client");
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
    let new = NewTopic::new(topic, 2, TopicReplication::Fixed(3)).set("retention.ms", "60000");
    admin.create_topics([&new], &options).await.expect("an answer")[0].as_ref().expect("a topic");
    say("created", json!({}));
    say_listed(&admin, topic);
    say_retention(&admin, topic).await;
    let longer = AlterConfig::new(ResourceSpecifier::Topic(topic)).set("retention.ms", "120000");
    admin.alter_configs([&longer], &options).await.expect("an answer")[0].as_ref().expect("a change");
    say("altered", json!({}));
    say_retention(&admin, topic).await;
    let grown = NewPartitions::new(topic, 4);
    admin.create_partitions([&grown], &options).await.expect("an answer")[0].as_ref().expect("partitions");
    say("grown", json!({}));
    let metadata = admin.inner().fetch_metadata(Some(topic), TIMEOUT).expect("metadata");
    say("partitions", json!({"count": metadata.topics()[0].partitions().len()}));
    admin.delete_topics(&[topic], &options).await.expect("an answer")[0].as_ref().expect("no topic");
    say("deleted", json!({}));
    say_listed(&admin, topic);
}

fn say_listed(admin: &AdminClient<DefaultClientContext>, topic: &str) {
    let metadata = admin.inner().fetch_metadata(None, TIMEOUT).expect("metadata");
    say("listed", json!({"found": metadata.topics().iter().any(|known| known.name() == topic)}));
}

async fn say_retention(admin: &AdminClient<DefaultClientContext>, topic: &str) {
    let resource = [ResourceSpecifier::Topic(topic)];
    let described = admin.describe_configs(&resource, &AdminOptions::new()).await.expect("an answer");
    let value = described[0]
        .as_ref()
        .expect("the configuration")
        .get("retention.ms")
        .and_then(|entry| entry.value.clone());
    say("config", json!({"value": value}));
}
