//! The last phase: every replica of every partition is read from its start to the largest offset anybody knows.

use std::rc::Rc;

use chronik_history::EARLIEST;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::NodeId;

use super::{Client, Crowd, Place};
use crate::random::Random;

/// Reads these replicas. Ends when each was read to the end.
pub(crate) async fn read_everything(
    crowd: Rc<Crowd>,
    replicas: Vec<(Place, Vec<NodeId>)>,
    mut random: Random,
) {
    for (place, nodes) in &replicas {
        for node in nodes {
            let name = format!("final-{}-{}", node.0, place.key);
            let client = Client::new(&crowd, &name, Some(*node), random.fork(node.0 as u64));
            read_replica(&client, place, *node).await;
        }
    }
}

async fn read_replica(client: &Client, place: &Place, node: NodeId) {
    let mut position = None;
    loop {
        let Some(at) = position else {
            position = client.list(place, node, EARLIEST).await;
            match position {
                Some(start) => client.assign(place, start),
                None => client.back_off().await,
            }
            continue;
        };
        match client.fetch(place, node, at, 0, "").await {
            Ok(fetched) if fetched.next >= fetched.high_watermark => return,
            Ok(fetched) => position = Some(fetched.next),
            Err(ErrorCode::OFFSET_OUT_OF_RANGE) => position = None,
            Err(_) => client.back_off().await,
        }
    }
}
