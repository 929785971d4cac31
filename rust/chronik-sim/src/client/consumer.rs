//! A consumer as client libraries are: it has a rack, follows hints and metadata, backs off, and resets its position when
//! it is told that the position is out of range.

use std::rc::Rc;

use chronik_history::EARLIEST;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::NodeId;

use super::{Client, Place};

/// Follows one place from its start for ever.
pub(super) async fn follow(client: Client, places: Rc<[Place]>) {
    let Some(place) = client.pick(&places).cloned() else { return };
    let rack = format!("rack-{}", client.some_node().0);
    let mut node = client.some_node();
    let mut position = None;
    while !client.is_closing() {
        let at = match position {
            Some(at) => at,
            None => {
                let Some(start) = client.list(&place, node, EARLIEST).await else {
                    client.back_off().await;
                    node = client.some_node();
                    continue;
                };
                client.assign(&place, start);
                position = Some(start);
                start
            }
        };
        match client.fetch(&place, node, at, 300, &rack).await {
            Ok(fetched) => {
                position = Some(fetched.next);
                node = next_node(&client, node, fetched.preferred);
                client.pause().await;
            }
            Err(ErrorCode::OFFSET_OUT_OF_RANGE) => position = None,
            Err(ErrorCode::OFFSET_NOT_AVAILABLE) => client.back_off().await,
            Err(_) => {
                client.back_off().await;
                node = client.some_node();
            }
        }
    }
}

fn next_node(client: &Client, node: NodeId, preferred: Option<NodeId>) -> NodeId {
    // Now and then the preference is forgotten, as clients do when metadata ages out.
    if client.chance(20) { client.some_node() } else { preferred.unwrap_or(node) }
}
