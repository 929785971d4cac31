//! The program of rskafka, which knows neither groups nor racks nor transactions.

use chronik_clients::{Arguments, arguments, say, say_record};
use chrono::{DateTime, Utc};
use rskafka::client::partition::{Compression, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::Record;
use serde_json::json;

const TIMEOUT_MS: i32 = 10_000;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (job, named) = arguments();
    match job.as_str() {
        "produce" => produce(&named).await,
        "read" => read(&named).await,
        "admin" => admin(&named).await,
        other => panic!("no job {other}"),
    }
}

async fn client(named: &Arguments) -> Client {
    let addresses = named.get("bootstrap").split(',').map(str::to_owned).collect();
    ClientBuilder::new(addresses).build().await.expect("a connection")
}

async fn partition(client: &Client, named: &Arguments, number: i32) -> PartitionClient {
    client.partition_client(named.get("topic"), number, UnknownTopicHandling::Retry).await.expect("a leader")
}

async fn produce(named: &Arguments) {
    let client = client(named).await;
    let partitions = named.number("partitions");
    for (number, value) in named.get("values").split(',').enumerate() {
        let number = i32::try_from(number % partitions).expect("a small number");
        let record = Record {
            key: None,
            value: Some(value.into()),
            headers: Default::default(),
            timestamp: DateTime::<Utc>::UNIX_EPOCH,
        };
        let partition = partition(&client, named, number).await;
        let offsets =
            partition.produce(vec![record], Compression::default()).await.expect("an acknowledgement");
        say("produced", json!({"partition": number, "offset": offsets[0]}));
    }
}

async fn read(named: &Arguments) {
    let client = client(named).await;
    let partition = partition(&client, named, 0).await;
    let mut next = 0;
    while next < i64::try_from(named.number("count")).expect("a small number") {
        let (records, _) = partition.fetch_records(next, 1..1_000_000, 500).await.expect("an answer");
        for read in records {
            say_record(0, read.offset, &read.record.value.unwrap_or_default());
            next = read.offset + 1;
        }
    }
}

async fn admin(named: &Arguments) {
    let client = client(named).await;
    let controller = client.controller_client().expect("a controller");
    let topic = named.get("topic");
    controller.create_topic(topic, 2, 3, TIMEOUT_MS).await.expect("a topic");
    say("created", json!({}));
    say_listed(&client, topic).await;
    controller.delete_topic(topic, TIMEOUT_MS).await.expect("no topic");
    say("deleted", json!({}));
    say_listed(&client, topic).await;
}

async fn say_listed(client: &Client, topic: &str) {
    let topics = client.list_topics().await.expect("the topics");
    say("listed", json!({"found": topics.iter().any(|known| known.name == topic)}));
}
