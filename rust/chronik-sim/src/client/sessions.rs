//! A reader with a fetch session (KIP-227) over all partitions. A partition that an answer leaves out is claimed to be
//! unchanged, and that claim is written down as an answer.

use std::collections::BTreeMap;
use std::rc::Rc;

use chronik_history::{Call, FetchArgs, FetchResult, Operation, Status, Text};
use chronik_wire::messages::fetch::{FetchRequest, PartitionData};

use super::requests::{fetch_topic, records_of};
use super::{Client, Pending, Place};

/// Sessions by id.
const VERSION: i16 = 16;
const FETCH_BYTES: i32 = 256 << 10;

/// What the session last said about a partition.
struct Known {
    place: Place,
    position: i64,
    /// As sent to the broker last; `None` if it does not know the partition.
    sent: Option<i64>,
    watermarks: Option<(i64, i64, i64)>,
}

/// Watches the ends of all partitions at one node in one session.
pub(super) async fn watch_all(client: Client, places: Rc<[Place]>) {
    let Some(home) = client.home else { return };
    let (mut session, mut epoch) = (0, 0);
    let mut known = fresh(&places);
    while !client.is_closing() {
        for one in &mut known {
            // The session moves on as a consumer does, and jumps to the proved end now and then.
            if client.chance(500) {
                one.position = client.crowd.proved_end(&one.place);
            }
        }
        let wait_ms = if client.chance(300) { client.below(400) } else { 0 };
        let changed: Vec<_> =
            known.iter().filter(|one| epoch == 0 || one.sent != Some(one.position)).collect();
        let topics = changed.iter().map(|one| fetch_topic(&one.place, one.position)).collect();
        let request = FetchRequest {
            max_wait_ms: wait_ms as i32,
            min_bytes: 1,
            max_bytes: FETCH_BYTES,
            session_id: session,
            session_epoch: epoch,
            topics,
            ..FetchRequest::default()
        };
        let pending: Vec<Pending> = known.iter().map(|one| client.begin(one, wait_ms)).collect();
        let answer = client.ask(home, false, VERSION, &request).await.ok().flatten();
        let Some(answer) = answer.filter(|answer| answer.error_code.is_none()) else {
            pending.iter().for_each(|pending| client.returned(pending, 0, Status::Info, |_| ()));
            (session, epoch, known) = (0, 0, fresh(&places));
            client.back_off().await;
            continue;
        };
        session = answer.session_id;
        epoch = if session == 0 { 0 } else { epoch + 1 };
        let mut answered: BTreeMap<(u128, i32), PartitionData> = answer
            .responses
            .into_iter()
            .flat_map(|topic| {
                let id = topic.topic_id.0;
                topic.partitions.into_iter().map(move |data| ((id, data.partition_index), data))
            })
            .collect();
        for (one, pending) in known.iter_mut().zip(&pending) {
            one.sent = Some(one.position);
            match answered.remove(&(one.place.id.0, one.place.partition)) {
                Some(data) => client.take(one, pending, &data),
                None => client.take_unchanged(one, pending),
            }
        }
        client.pause().await;
    }
}

fn fresh(places: &[Place]) -> Vec<Known> {
    places
        .iter()
        .map(|place| Known { place: place.clone(), position: 0, sent: None, watermarks: None })
        .collect()
}

impl Client {
    fn begin(&self, known: &Known, wait_ms: u64) -> Pending {
        let args = FetchArgs { offset: known.position, max_wait_ms: wait_ms, ..FetchArgs::default() };
        let key: &Text = &known.place.key;
        self.invoked(self.home.unwrap_or_default(), key, Operation::Fetch(Call::new(args)))
    }

    fn take(&self, known: &mut Known, pending: &Pending, data: &PartitionData) {
        let (records, next) = records_of(data, known.position);
        let status = if data.error_code.is_none() { Status::Ok } else { Status::Fail };
        let result = FetchResult {
            hw: Some(data.high_watermark),
            lso: Some(data.last_stable_offset),
            log_start: Some(data.log_start_offset),
            records,
            next,
            ..FetchResult::default()
        };
        self.returned(pending, data.error_code.0, status, |operation| {
            if let Operation::Fetch(call) = operation {
                call.result = Some(result);
            }
        });
        known.watermarks = None;
        if data.error_code.is_none() {
            known.watermarks = Some((data.high_watermark, data.last_stable_offset, data.log_start_offset));
            self.crowd.prove_end(&known.place, data.high_watermark);
            known.position = next.unwrap_or(known.position).max(known.position);
        }
    }

    fn take_unchanged(&self, known: &Known, pending: &Pending) {
        let Some((hw, lso, log_start)) = known.watermarks else {
            // After an error there is nothing that could be unchanged.
            return self.returned(pending, 0, Status::Info, |_| ());
        };
        let result = FetchResult {
            hw: Some(hw),
            lso: Some(lso),
            log_start: Some(log_start),
            ..FetchResult::default()
        };
        self.returned(pending, 0, Status::Ok, |operation| {
            if let Operation::Fetch(call) = operation {
                call.result = Some(result);
            }
        });
    }
}
