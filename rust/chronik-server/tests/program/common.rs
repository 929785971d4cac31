//! Three real processes from three files on free ports, and a raw Kafka client. Every wait has a condition and a bound.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use chronik_wire::api::Request;
use chronik_wire::batch::BatchBuilder;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::header::{decode_response, request_frame};
use chronik_wire::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use chronik_wire::messages::create_topics::CreatableTopic;
use chronik_wire::messages::fetch::{FetchPartition, FetchTopic};
use chronik_wire::messages::metadata::MetadataRequestTopic;
use chronik_wire::messages::produce::{PartitionProduceData, TopicProduceData};
use chronik_wire::messages::{CreateTopicsRequest, FetchRequest, MetadataRequest, ProduceRequest};
use socket2::{Domain, Socket, Type};

/// Longest wait for anything here.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until `look` has something to show.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A port of our own until the test ends: bound and not listening, so that a server can take it and nobody else gets it.
pub(crate) struct FreePort {
    port: u16,
    _socket: Socket,
}

impl FreePort {
    pub(crate) fn new() -> FreePort {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_reuse_address(true).expect("a shared port");
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
        let address = socket.local_addr().expect("its address").as_socket().expect("an internet address");
        FreePort { port: address.port(), _socket: socket }
    }

    pub(crate) fn number(&self) -> u16 {
        self.port
    }
}

/// A cluster of server processes.
pub(crate) struct Cluster {
    directory: tempfile::TempDir,
    ports: BTreeMap<i32, (FreePort, FreePort)>,
    processes: BTreeMap<i32, Child>,
}

impl Cluster {
    /// Writes one file per node, in the flat shape of the original design, and starts every node.
    pub(crate) fn start(nodes: i32) -> Cluster {
        let directory = tempfile::tempdir().expect("a directory");
        let ports = (1..=nodes).map(|id| (id, (FreePort::new(), FreePort::new()))).collect();
        let mut cluster = Cluster { directory, ports, processes: BTreeMap::new() };
        let peers: String = cluster
            .ports
            .iter()
            .map(|(id, (kafka, raft))| {
                let (kafka, raft) = (kafka.port, raft.port);
                format!("[[peers]]\nid = {id}\naddr = \"localhost:{kafka}\"\nraft_port = {raft}\n")
            })
            .collect();
        for id in 1..=nodes {
            let text = format!("node_id = {id}\nreplication_factor = 3\nmin_insync_replicas = 2\n{peers}");
            fs::write(cluster.path(&format!("node{id}.toml")), text).expect("a configuration file");
            cluster.start_node(id);
        }
        cluster
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts one node as the original script did: the file by environment, the command `standalone`.
    pub(crate) fn start_node(&mut self, id: i32) {
        self.start_node_with(id, &[]);
    }

    /// Writes the file of a node with ports of its own that joins the cluster at the Raft listener of node `at`, and
    /// starts it.
    pub(crate) fn join(&mut self, id: i32, at: i32) {
        let (kafka, raft) = self.ports.entry(id).or_insert_with(|| (FreePort::new(), FreePort::new()));
        let (kafka, raft) = (kafka.port, raft.port);
        let text = format!(
            "node_id = {id}\njoin = [\"localhost:{}\"]\n[bind]\nkafka = \"localhost:{kafka}\"\nraft = \"localhost:{raft}\"\n",
            self.ports[&at].1.port
        );
        fs::write(self.path(&format!("node{id}.toml")), text).expect("a configuration file");
        self.start_node(id);
    }

    /// Where the peers of a node call it.
    pub(crate) fn raft_address(&self, id: i32) -> String {
        format!("localhost:{}", self.ports[&id].1.port)
    }

    /// Waits until a process ends by itself.
    pub(crate) fn wait_for_end(&mut self, id: i32) -> ExitStatus {
        let mut process = self.processes.remove(&id).expect("the node runs");
        wait_for("the node ends", || process.try_wait().expect("the node can be waited for"))
    }

    pub(crate) fn start_node_with(&mut self, id: i32, args: &[&str]) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path(&format!("node{id}.log")))
            .expect("a log");
        let process = server()
            .arg("standalone")
            .args(args)
            .env("CHRONIK_CLUSTER_CONFIG", self.path(&format!("node{id}.toml")))
            .env("CHRONIK_DATA_DIR", self.path(&format!("data{id}")))
            .env("RUST_LOG", "info,chronik_server::fetch_handler=debug,chronik_raft::read_index=debug")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn();
        self.processes.insert(id, process.expect("the server starts"));
    }

    pub(crate) fn address(&self, id: i32) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports[&id].0.port))
    }

    /// Waits until every node's Metadata shows `nodes` brokers.
    pub(crate) fn wait_until_whole(&self, nodes: usize) {
        for id in self.processes.keys() {
            wait_for(&format!("node {id} shows {nodes} nodes\n{}", self.log(*id)), || {
                let mut client = Client::try_connect(self.address(*id))?;
                let answer = client
                    .try_call(8, &MetadataRequest { topics: Some(Vec::new()), ..Default::default() })?;
                (answer.brokers.len() == nodes).then_some(())
            });
        }
    }

    /// SIGKILL: nothing is flushed, nobody is told.
    pub(crate) fn kill(&mut self, id: i32) {
        let mut process = self.processes.remove(&id).expect("the node runs");
        process.kill().expect("the node can be killed");
        process.wait().expect("the node ends");
    }

    /// SIGTERM, and the exit status.
    pub(crate) fn terminate(&mut self, id: i32) -> ExitStatus {
        let mut process = self.processes.remove(&id).expect("the node runs");
        signal(&process, "TERM");
        wait_for("the node stops", || process.try_wait().expect("the node can be waited for"))
    }

    pub(crate) fn log(&self, id: i32) -> String {
        fs::read_to_string(self.path(&format!("node{id}.log"))).unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for process in self.processes.values_mut() {
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            for id in self.ports.keys() {
                eprintln!("---- log of node {id}\n{}", self.log(*id));
            }
        }
    }
}

/// The program, deaf to what the person running the tests has set.
pub(crate) fn server() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chronik-server"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CHRONIK_") || name == "RUST_LOG") {
        command.env_remove(name);
    }
    command
}

/// Sends a signal by its name. The shell's `kill` spares the tests a system call of their own.
pub(crate) fn signal(process: &Child, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), process.id().to_string()]).status();
    assert!(status.expect("kill runs").success());
}

/// Lines of a log at this level or worse.
pub(crate) fn alarms(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains(" ERROR ") || line.contains(" WARN ")).collect()
}

/// A raw client.
pub(crate) struct Client {
    stream: TcpStream,
    correlation_id: i32,
}

impl Client {
    pub(crate) fn try_connect(address: SocketAddr) -> Option<Client> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
        stream.set_nodelay(true).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        Some(Client { stream, correlation_id: 0 })
    }

    pub(crate) fn connect(address: SocketAddr) -> Client {
        wait_for(&format!("connecting to {address}"), || Client::try_connect(address))
    }

    /// `None` if the connection broke.
    pub(crate) fn try_call<R: Request>(&mut self, version: i16, body: &R) -> Option<R::Response> {
        self.correlation_id += 1;
        let pieces = request_frame(version, self.correlation_id, Some("test"), body).expect("a request");
        for piece in pieces {
            self.stream.write_all(&piece).ok()?;
        }
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).ok()?;
        let mut frame = BytesMut::zeroed(u32::from_be_bytes(length) as usize);
        self.stream.read_exact(&mut frame).ok()?;
        let (correlation_id, response) =
            decode_response::<R>(frame.freeze(), version).expect("a readable answer");
        assert_eq!(correlation_id, self.correlation_id);
        Some(response)
    }

    pub(crate) fn call<R: Request>(&mut self, version: i16, body: &R) -> R::Response {
        self.try_call(version, body).unwrap_or_else(|| panic!("no answer to {}", R::NAME))
    }

    pub(crate) fn create_topic(&mut self, name: &str, replication_factor: i16) {
        let topic =
            CreatableTopic { name: name.into(), num_partitions: 1, replication_factor, ..Default::default() };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..Default::default() };
        assert_eq!(self.call(4, &request).topics[0].error_code, ErrorCode::NONE);
    }

    /// The nodes, as this one sees them.
    pub(crate) fn brokers(&mut self) -> Option<Vec<i32>> {
        let answer = self.try_call(8, &MetadataRequest { topics: Some(Vec::new()), ..Default::default() })?;
        Some(answer.brokers.iter().map(|broker| broker.node_id).collect())
    }

    /// The leader of partition 0, as this node sees it.
    pub(crate) fn leader(&mut self, topic: &str) -> Option<i32> {
        let topic = MetadataRequestTopic { name: Some(topic.into()), ..Default::default() };
        let answer =
            self.try_call(8, &MetadataRequest { topics: Some(vec![topic]), ..Default::default() })?;
        let leader = answer.topics.first()?.partitions.first()?.leader_id;
        (leader >= 0).then_some(leader)
    }

    /// The replicas of partition 0, and those that come and go, as this node sees them.
    pub(crate) fn replicas(&mut self, topic: &str) -> Vec<i32> {
        let topic = MetadataRequestTopic { name: Some(topic.into()), ..Default::default() };
        let answer = self.call(8, &MetadataRequest { topics: Some(vec![topic]), ..Default::default() });
        answer.topics[0].partitions[0].replica_nodes.clone()
    }

    /// Has partition 0 move to these nodes.
    pub(crate) fn reassign(&mut self, topic: &str, replicas: &[i32]) {
        let partition = ReassignablePartition { replicas: Some(replicas.to_vec()), ..Default::default() };
        let topic = ReassignableTopic { name: topic.into(), partitions: vec![partition] };
        let request = AlterPartitionReassignmentsRequest {
            timeout_ms: 30_000,
            topics: vec![topic],
            ..Default::default()
        };
        let answer = self.call(0, &request);
        let result = &answer.responses[0].partitions[0];
        assert_eq!(result.error_code, ErrorCode::NONE, "{:?}", result.error_message);
    }

    /// Produces one record with acks=all; its offset if it was acknowledged.
    pub(crate) fn produce(&mut self, topic: &str, value: &str) -> Result<i64, ErrorCode> {
        let batch = BatchBuilder::new().record(0, None, Some(value.as_bytes())).build().expect("a batch");
        let partition_data = vec![PartitionProduceData { index: 0, records: Some(batch) }];
        let topic_data = vec![TopicProduceData { name: topic.into(), partition_data, ..Default::default() }];
        let request = ProduceRequest { acks: -1, timeout_ms: 10_000, topic_data, ..Default::default() };
        let answer = self.try_call(8, &request).ok_or(ErrorCode::NETWORK_EXCEPTION)?;
        let result = &answer.responses[0].partition_responses[0];
        if result.error_code.is_none() { Ok(result.base_offset) } else { Err(result.error_code) }
    }

    /// Every value of partition 0 from offset 0 on, as this node serves them; an error of the first fetch that has one.
    pub(crate) fn read_all(&mut self, topic: &str) -> Result<Vec<String>, ErrorCode> {
        let mut values = Vec::new();
        loop {
            let partition = FetchPartition {
                fetch_offset: values.len() as i64,
                partition_max_bytes: 1 << 20,
                ..Default::default()
            };
            let topics =
                vec![FetchTopic { topic: topic.into(), partitions: vec![partition], ..Default::default() }];
            let request = FetchRequest { max_bytes: 1 << 20, topics, ..Default::default() };
            let answer = self.try_call(11, &request).ok_or(ErrorCode::NETWORK_EXCEPTION)?;
            let partition = &answer.responses[0].partitions[0];
            if partition.error_code.is_error() {
                return Err(partition.error_code);
            }
            let before = values.len();
            values.extend(decode_values(partition.records.to_bytes()));
            if values.len() == before {
                assert_eq!(partition.high_watermark, before as i64, "an empty answer that is not the end");
                return Ok(values);
            }
        }
    }
}

fn decode_values(records: Bytes) -> Vec<String> {
    let mut values = Vec::new();
    for batch in chronik_wire::batch::split_batches(records) {
        let batch = batch.expect("a whole batch");
        for record in batch.records().expect("readable records") {
            let record = record.expect("a readable record");
            values.push(String::from_utf8_lossy(&record.value.unwrap_or_default()).into_owned());
        }
    }
    values
}

/// A path that must not exist any more, or not yet.
pub(crate) fn is_empty_or_missing(path: &Path) -> bool {
    fs::read_dir(path).map_or(true, |mut entries| entries.next().is_none())
}
