//! What was taken from where, as the table a start prints.

use std::fmt::Display;

use crate::address::HostPort;
use crate::layers::Sourced;
use crate::settings::Settings;

/// The table, one line per setting: name, value, origin.
pub fn table(settings: &Settings) -> String {
    let mut rows: Vec<[String; 3]> = vec![["setting".into(), "value".into(), "from".into()]];
    let mut row = |name: &str, value: String, from: &dyn Display| {
        rows.push([name.to_owned(), value, from.to_string()]);
    };
    fn shown<T: Display>(sourced: &Sourced<T>) -> (String, &dyn Display) {
        (sourced.value.to_string(), &sourced.source)
    }
    let (value, from) = shown(&settings.node_id);
    row("node_id", value, from);
    for peer in &settings.peers {
        let kafka = peer.kafka.as_ref().map_or_else(String::new, |kafka| format!("kafka {kafka}, "));
        row(&format!("peer {}", peer.id), format!("{kafka}raft {}", peer.raft), &peer.source);
    }
    for address in &settings.join.value {
        row("join", address.to_string(), &settings.join.source);
    }
    let (value, from) = shown(&settings.kafka);
    row("kafka listener", value, from);
    let advertised = &settings.advertised.value;
    let told = match advertised.port {
        Some(port) => HostPort { host: advertised.host.clone(), port }.to_string(),
        None => format!("{}, port of the listener", advertised.host),
    };
    row("advertised", told, &settings.advertised.source);
    if let Some((value, from)) = settings.pinned_port.as_ref().map(shown) {
        row("pinned port", value, from);
    }
    if let Some((value, from)) = settings.raft.as_ref().map(shown) {
        row("raft listener", value, from);
    }
    if let Some((value, from)) = settings.rack.as_ref().map(shown) {
        row("rack", value, from);
    }
    let fetch_from_followers = shown(&settings.fetch_from_followers);
    for (name, (value, from)) in [
        ("replication_factor", shown(&settings.replication_factor)),
        ("min_insync_replicas", shown(&settings.min_insync_replicas)),
        ("fetch_from_followers", fetch_from_followers),
        ("fetch_follower_max_wait_ms", shown(&settings.gate_cap_ms)),
        ("durability", shown(&settings.durability)),
        ("segment_size", shown(&settings.segment_bytes)),
        ("shards", shown(&settings.shards)),
        ("log", shown(&settings.log_filter)),
    ] {
        row(name, value, from);
    }
    row("data_dir", settings.data_dir.value.display().to_string(), &settings.data_dir.source);
    for (name, sourced) in &settings.kafka_config {
        let (value, from) = shown(sourced);
        row(name, value, from);
    }
    aligned(&rows)
}

fn aligned(rows: &[[String; 3]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (name_width, value_width) = (width(0), width(1));
    rows.iter()
        .map(|[name, value, from]| format!("{name:<name_width$}  {value:<value_width$}  {from}\n"))
        .collect()
}
