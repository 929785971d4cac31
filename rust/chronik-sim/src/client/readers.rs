//! Readers that stay at one node whatever happens to it: also at a leader that is cut off and does not know it.

use std::rc::Rc;

use chronik_history::{
    Call, EARLIEST, EpochEndArgs, EpochEndResult, FetchArgs, FetchResult, Isolation, LATEST, ListArgs,
    ListResult, Operation, Status,
};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::fetch::PartitionData;
use chronik_wire::types::NodeId;

use super::admin::CHURNED;
use super::requests::{
    EPOCH_VERSION, FETCH_VERSIONS, LIST_OFFSETS_VERSION, epoch_end, fetch, list, records_of,
};
use super::{Client, Pending, Place};

/// The longest a node may wait in the read gate, in milliseconds.
const GATE_CAP_MS: u64 = 5_000;
/// Bound of a request that does nothing but pass the gate.
const GATED_MS: u64 = GATE_CAP_MS + 500;

/// Asks one node about the end of the log, in every way there is, against what anybody has proved before.
pub(super) async fn watch_the_end(client: Client, places: Rc<[Place]>) {
    let Some(home) = client.home else { return };
    while !client.is_closing() {
        let Some(place) = client.pick(&places) else { return };
        let proved = client.crowd.proved_end(place);
        let good = match client.below(10) {
            0..=2 => client.fetch(place, home, (proved - 1).max(0), 0, "").await.is_ok(),
            3..=5 => client.fetch(place, home, proved, 0, "").await.is_ok(),
            6 => {
                let wait_ms = 50 + client.below(900);
                client.fetch(place, home, proved, wait_ms, "").await.is_ok()
            }
            7 if client.chance(300) => {
                client.probe_epochs(place, home, proved).await;
                true
            }
            7 | 8 => client.list(place, home, LATEST).await.is_some(),
            _ => {
                client.list(place, home, EARLIEST).await;
                let epoch = client.below(6) as i32;
                client.epoch_end(place, home, epoch).await
            }
        };
        if good {
            client.pause().await;
        } else {
            client.back_off().await;
        }
    }
}

/// Records that a scan from somewhere in the middle has before it.
const SCANNED: i64 = 100;

/// Reads one node from the start, or from somewhere in the middle, to the end, again and again.
pub(super) async fn scan(client: Client, places: Rc<[Place]>) {
    let Some(home) = client.home else { return };
    while !client.is_closing() {
        let Some(place) = client.pick(&places) else { return };
        let Some(start) = client.list(place, home, EARLIEST).await else {
            client.back_off().await;
            continue;
        };
        let mut position = start;
        if client.chance(900) {
            position = start.max(client.crowd.proved_end(place) - SCANNED);
        }
        client.assign(place, position);
        while !client.is_closing() {
            match client.fetch(place, home, position, 0, "").await {
                Ok(answer) if answer.records.is_empty() => break,
                Ok(answer) => position = answer.next,
                // Retention overtook the reader: it begins again.
                Err(ErrorCode::OFFSET_OUT_OF_RANGE) => break,
                Err(_) => client.back_off().await,
            }
        }
        client.pause().await;
        client.pause().await;
    }
}

/// What a successful fetch brought.
pub(super) struct Fetched {
    pub(super) records: Vec<chronik_history::Record>,
    pub(super) next: i64,
    pub(super) high_watermark: i64,
    /// Where else to read, by the broker's word.
    pub(super) preferred: Option<NodeId>,
}

impl Client {
    /// Fetches once, now and then committed records alone, and writes down what came.
    pub(super) async fn fetch(
        &self,
        place: &Place,
        node: NodeId,
        offset: i64,
        wait_ms: u64,
        rack: &str,
    ) -> Result<Fetched, ErrorCode> {
        let isolation = if self.chance(300) { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
        self.fetch_as(place, node, offset, wait_ms, rack, isolation).await
    }

    /// The same with an isolation of the caller's choice.
    pub(super) async fn fetch_as(
        &self,
        place: &Place,
        node: NodeId,
        offset: i64,
        wait_ms: u64,
        rack: &str,
        isolation: Isolation,
    ) -> Result<Fetched, ErrorCode> {
        let args = FetchArgs { offset, max_wait_ms: wait_ms, isolation, ..FetchArgs::default() };
        let pending = self.invoked(node, &place.key, Operation::Fetch(Call::new(args)));
        let mut request = fetch(place, offset, wait_ms as i32, rack);
        request.isolation_level = i8::from(isolation == Isolation::ReadCommitted);
        let version = *self.pick(FETCH_VERSIONS).unwrap_or(&16);
        // Only versions with ids know which life of a topic is meant.
        let version = if &*place.topic == CHURNED { 16 } else { version };
        let answer = self.ask(node, false, version, &request).await;
        let bound_ms = self.bound_ms(&pending, wait_ms.max(GATED_MS) + 500);
        let data = answer.ok().flatten().and_then(|answer| {
            if answer.error_code.is_error() {
                return None;
            }
            answer.responses.into_iter().next()?.partitions.into_iter().next()
        });
        let Some(data) = data else {
            self.returned(&pending, 0, Status::Info, |_| ());
            return Err(ErrorCode::NETWORK_EXCEPTION);
        };
        let error = data.error_code;
        let (records, next) = records_of(&data, offset);
        let preferred = (data.preferred_read_replica >= 0).then_some(data.preferred_read_replica);
        let status = if error.is_none() { Status::Ok } else { Status::Fail };
        self.returned(&pending, error.0, status, |operation| {
            let Operation::Fetch(call) = operation else { return };
            call.args.bound_ms = bound_ms;
            call.result = Some(result_of(&data, records.clone(), next, preferred));
        });
        if error.is_error() {
            return Err(error);
        }
        self.crowd.prove_end(place, data.high_watermark);
        Ok(Fetched {
            next: next.unwrap_or(offset).max(offset),
            records,
            high_watermark: data.high_watermark,
            preferred: preferred.map(NodeId),
        })
    }

    /// Asks for an offset by time and writes down what came.
    pub(super) async fn list(&self, place: &Place, node: NodeId, timestamp: i64) -> Option<i64> {
        let args = ListArgs { timestamp, ..ListArgs::default() };
        let pending = self.invoked(node, &place.key, Operation::List(Call::new(args)));
        let answer = self.ask(node, false, LIST_OFFSETS_VERSION, &list(place, timestamp)).await;
        let partition = answer
            .ok()
            .flatten()
            .and_then(|answer| answer.topics.into_iter().next()?.partitions.into_iter().next());
        let answer = partition.map(|found| (found.error_code, ListResult { offset: found.offset }));
        let result = self.gated(&pending, answer, |operation, bound_ms, result| {
            let Operation::List(call) = operation else { return };
            call.args.bound_ms = bound_ms;
            call.result = result;
        })?;
        if timestamp == LATEST {
            self.crowd.prove_end(place, result.offset);
        }
        Some(result.offset)
    }

    async fn epoch_end(&self, place: &Place, node: NodeId, epoch: i32) -> bool {
        let args = EpochEndArgs { epoch, ..EpochEndArgs::default() };
        let pending = self.invoked(node, &place.key, Operation::EpochEnd(Call::new(args)));
        let answer = self.ask(node, false, EPOCH_VERSION, &epoch_end(place, epoch)).await;
        let partition = answer
            .ok()
            .flatten()
            .and_then(|answer| answer.topics.into_iter().next()?.partitions.into_iter().next());
        let answer = partition.map(|found| {
            let result = EpochEndResult { epoch: found.leader_epoch, offset: found.end_offset };
            (found.error_code, result)
        });
        let result = self.gated(&pending, answer, |operation, bound_ms, result| {
            let Operation::EpochEnd(call) = operation else { return };
            call.args.bound_ms = bound_ms;
            call.result = result;
        });
        result.is_some()
    }

    /// Writes down how a question about the log that does nothing but pass the gate ended. The result, if it succeeded.
    fn gated<T: Clone>(
        &self,
        pending: &Pending,
        answer: Option<(ErrorCode, T)>,
        write: impl FnOnce(&mut Operation, Option<u64>, Option<T>),
    ) -> Option<T> {
        let bound_ms = self.bound_ms(pending, GATED_MS);
        let Some((error, result)) = answer else {
            self.returned(pending, 0, Status::Info, |_| ());
            return None;
        };
        let (status, result) =
            if error.is_none() { (Status::Ok, Some(result)) } else { (Status::Fail, None) };
        self.returned(pending, error.0, status, |operation| write(operation, bound_ms, result.clone()));
        result
    }

    /// Claims to come from another epoch. The answer is not judged: such a client has no position of its own.
    async fn probe_epochs(&self, place: &Place, node: NodeId, offset: i64) {
        let mut request = fetch(place, offset, 0, "");
        for partition in request.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            partition.current_leader_epoch = self.below(12) as i32;
            partition.last_fetched_epoch = self.below(12) as i32;
        }
        // What is answered shows in the counters.
        let _ = self.ask(node, false, 12, &request).await;
    }

    /// Writes down that this client reads a place on from here.
    pub(super) fn assign(&self, place: &Place, position: i64) {
        let args = chronik_history::AssignArgs { position: Some(position) };
        let node = self.home.unwrap_or(NodeId(0));
        let pending = self.invoked(node, &place.key, Operation::Assign(Call::new(args)));
        self.returned(&pending, 0, Status::Ok, |_| ());
    }
}

fn result_of(
    data: &PartitionData,
    records: Vec<chronik_history::Record>,
    next: Option<i64>,
    preferred: Option<i32>,
) -> FetchResult {
    FetchResult {
        hw: Some(data.high_watermark),
        lso: Some(data.last_stable_offset),
        log_start: Some(data.log_start_offset),
        records,
        next,
        preferred,
        ..FetchResult::default()
    }
}
