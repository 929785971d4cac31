//! Which addresses this node listens on, and which one clients are told.
//!
//! Nothing is open to other machines by accident: without a bind and an advertised address the Kafka listener is on
//! loopback, and the Raft listener is on the own entry's host, never on all interfaces unless asked.

use crate::address::{HostPort, is_loopback, listen_host, split};
use crate::env;
use crate::findings::Findings;
use crate::layers::{Layers, Setting, Source, Sourced, port};

use super::membership::{Membership, RAFT_ADDR};

const KAFKA_PORT_DEFAULT: u16 = 9092;
const RAFT_PORT_DEFAULT: u16 = 5001;
const LOOPBACK: &str = "127.0.0.1";
const ALL_INTERFACES: &str = "0.0.0.0";

const BIND: Setting =
    Setting { flag: Some("--bind"), variable: Some(env::BIND_ADDR), key: Some("bind.kafka") };
const KAFKA_PORT: Setting =
    Setting { flag: Some("--kafka-port"), variable: Some(env::KAFKA_PORT), key: Some("kafka_port") };
const ADVERTISE: Setting =
    Setting { flag: Some("--advertise"), variable: Some(env::ADVERTISED_ADDR), key: Some("advertise.kafka") };
const ADVERTISED_PORT: Setting = Setting { flag: None, variable: Some(env::ADVERTISED_PORT), key: None };
const PINNED_PORT: Setting =
    Setting { flag: Some("--pinned-port"), variable: Some(env::PINNED_PORT), key: Some("pinned_port") };

/// The address clients are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertised {
    /// A name or an address that clients can resolve and reach.
    pub host: String,
    /// The port; `None`: the one the listener is bound to.
    pub port: Option<u16>,
}

/// The resolved listeners.
pub(super) struct Listeners {
    pub(super) kafka: Sourced<HostPort>,
    pub(super) advertised: Sourced<Advertised>,
    pub(super) pinned_port: Option<Sourced<u16>>,
    pub(super) raft: Option<Sourced<HostPort>>,
    pub(super) raft_advertised: Option<HostPort>,
}

/// The Raft listener of a node that has no entry and no address of its own.
pub(super) fn raft_default() -> HostPort {
    HostPort { host: LOOPBACK.to_owned(), port: RAFT_PORT_DEFAULT }
}

/// Resolves the listeners. `None` only after a mistake was recorded.
pub(super) fn resolve(
    layers: &Layers<'_>,
    members: &Membership,
    findings: &mut Findings,
) -> Option<Listeners> {
    let mistakes_before = findings.mistakes.len();
    let bind = layers.value(BIND, findings, split);
    let kafka_port = layers.value(KAFKA_PORT, findings, port);
    let advertise = layers.value(ADVERTISE, findings, split);
    let advertised_port = layers.value(ADVERTISED_PORT, findings, port);
    let pinned_port = layers.value(PINNED_PORT, findings, port);
    let raft_addr = layers.value(RAFT_ADDR, findings, HostPort::parse);
    if findings.mistakes.len() > mistakes_before {
        return None;
    }
    let own_kafka = members.own().and_then(|own| own.kafka.as_ref());
    let kafka = kafka_listener(bind.as_ref(), kafka_port, advertise.as_ref(), own_kafka);
    let advertised = advertised(advertise, advertised_port, own_kafka, &kafka, findings);
    let raft = match (raft_addr, members.own()) {
        (Some(address), _) => Some(address),
        (None, Some(own)) => {
            let host = listen_host(&own.raft.host).to_owned();
            Some(Sourced::derived(
                HostPort { host, port: own.raft.port },
                format!("own peer entry ({})", own.source),
            ))
        }
        (None, None) if members.is_cluster() => Some(Sourced::default_value(raft_default())),
        (None, None) => None,
    };
    let raft_advertised =
        raft.as_ref().map(|raft| raft_advertised(members, &raft.value, &advertised.value.host));
    check_own(&kafka, pinned_port.as_ref(), raft.as_ref(), findings);
    if let Some(raft) = raft.as_ref().filter(|raft| raft.value.is_loopback())
        && let Some(far) = members.peers.iter().find(|peer| !peer.raft.is_loopback())
    {
        findings.warn(
            raft.source.to_string(),
            format!(
                "the Raft listener {} is on loopback, where peer {} ({}) cannot reach it",
                raft.value, far.id, far.raft
            ),
        );
    }
    let valid = findings.mistakes.len() == mistakes_before;
    valid.then_some(Listeners { kafka, advertised, pinned_port, raft, raft_advertised })
}

fn kafka_listener(
    bind: Option<&Sourced<(String, Option<u16>)>>,
    kafka_port: Option<Sourced<u16>>,
    advertise: Option<&Sourced<(String, Option<u16>)>>,
    own: Option<&HostPort>,
) -> Sourced<HostPort> {
    let port = match (&kafka_port, bind.and_then(|bind| bind.value.1), own) {
        (Some(port), _, _) => port.value,
        (None, Some(port), _) => port,
        (None, None, Some(own)) => own.port,
        (None, None, None) => KAFKA_PORT_DEFAULT,
    };
    let told = advertise.map(|advertise| advertise.value.0.as_str()).or(own.map(|own| own.host.as_str()));
    let (host, source) = match (bind, told) {
        (Some(bind), _) => (listen_host(&bind.value.0).to_owned(), bind.source.clone()),
        (None, Some(told)) if is_loopback(told) => {
            (listen_host(told).to_owned(), Source::Derived("the advertised host is loopback".to_owned()))
        }
        (None, Some(_)) => (ALL_INTERFACES.to_owned(), Source::Default),
        (None, None) => {
            (LOOPBACK.to_owned(), Source::Derived("default: loopback, as nothing is advertised".to_owned()))
        }
    };
    let source = match (bind, kafka_port) {
        (None, Some(port)) => port.source,
        _ => source,
    };
    Sourced { value: HostPort { host, port }, source }
}

fn advertised(
    advertise: Option<Sourced<(String, Option<u16>)>>,
    advertised_port: Option<Sourced<u16>>,
    own: Option<&HostPort>,
    kafka: &Sourced<HostPort>,
    findings: &mut Findings,
) -> Sourced<Advertised> {
    let (host, port, source) = match (advertise, own) {
        (Some(advertise), _) => {
            let (host, port) = advertise.value;
            (host, port, advertise.source)
        }
        (None, Some(own)) => (own.host.clone(), Some(own.port), Source::Derived("own peer entry".to_owned())),
        (None, None) => {
            if kafka.value.is_unspecified() {
                findings.mistake(
                    kafka.source.to_string(),
                    format!(
                        "a listener on {} needs an advertised address; set CHRONIK_ADVERTISED_ADDR or --advertise",
                        kafka.value
                    ),
                );
            }
            (kafka.value.host.clone(), None, Source::Derived("the listener".to_owned()))
        }
    };
    let told = HostPort { host: host.clone(), port: 0 };
    if told.is_unspecified() && !matches!(source, Source::Derived(_)) {
        findings.mistake(
            source.to_string(),
            format!("{host} reaches nobody; advertise a host that clients can reach"),
        );
    }
    let (port, source) = match advertised_port {
        Some(advertised_port) => (Some(advertised_port.value), source),
        None => (port, source),
    };
    Sourced { value: Advertised { host, port: port.filter(|port| *port != 0) }, source }
}

/// Where the other nodes are told to call this one: as the list of peers says, else where it listens, and if that is
/// everywhere, at the host that clients are told.
fn raft_advertised(members: &Membership, raft: &HostPort, client_host: &str) -> HostPort {
    match members.own() {
        Some(own) if !own.raft.is_unspecified() => own.raft.clone(),
        _ if !raft.is_unspecified() => raft.clone(),
        _ => HostPort { host: client_host.to_owned(), port: raft.port },
    }
}

/// No two listeners of this node on one address.
fn check_own(
    kafka: &Sourced<HostPort>,
    pinned_port: Option<&Sourced<u16>>,
    raft: Option<&Sourced<HostPort>>,
    findings: &mut Findings,
) {
    let pinned = pinned_port.map(|pinned| {
        let value = HostPort { host: kafka.value.host.clone(), port: pinned.value };
        Sourced { value, source: pinned.source.clone() }
    });
    let listeners = [("Kafka", Some(kafka)), ("pinned", pinned.as_ref()), ("Raft", raft)];
    let present: Vec<_> =
        listeners.into_iter().filter_map(|(role, listener)| Some((role, listener?))).collect();
    for (position, (role, listener)) in present.iter().enumerate() {
        for (other_role, other) in present.iter().skip(position + 1) {
            if listener.value.collides_with(&other.value) {
                findings.mistake(
                    other.source.to_string(),
                    format!(
                        "the {role} listener ({}) and the {other_role} listener ({}) want the same address; \
                         change one of the ports",
                        listener.value, other.value
                    ),
                );
            }
        }
    }
}
