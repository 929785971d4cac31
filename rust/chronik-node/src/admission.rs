//! Who may connect: limits per address and per process, so that a flood leaves descriptors for peers and files.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::limits;

/// Client connections of this process, over all nodes: descriptors are the process's, not a node's.
static PROCESS_CONNECTIONS: AtomicUsize = AtomicUsize::new(0);

/// Where the clients of a node run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clients {
    /// In processes of their own.
    Elsewhere,
    /// Mostly in this very process.
    InThisProcess,
}

/// The client connections of one node.
#[derive(Debug)]
pub(crate) struct Admission {
    process_max: usize,
    per_address: Mutex<HashMap<IpAddr, usize>>,
}

/// Why a client was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The process has no room.
    #[error("{max} connections are open in this process")]
    Process {
        /// How many there may be.
        max: usize,
    },
    /// The address has no room.
    #[error("{} connections are open from this address", limits::CONNECTIONS_PER_ADDRESS_MAX)]
    Address,
}

/// A connection's place. Given back on drop.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Arc<Admission>,
    address: IpAddr,
}

impl Admission {
    /// Room for as many connections as the descriptors of this process allow. In a test process the clients live there
    /// too and need as many descriptors again.
    pub(crate) fn new(clients: Clients) -> Arc<Admission> {
        let spare = match clients {
            Clients::Elsewhere => spare_descriptors(),
            Clients::InThisProcess => spare_descriptors() / 2,
        };
        Admission::with_process_max(limits::CONNECTIONS_MAX.min(spare))
    }

    fn with_process_max(process_max: usize) -> Arc<Admission> {
        Arc::new(Admission { process_max, per_address: Mutex::new(HashMap::new()) })
    }

    /// A place for a client, if there is one.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Place, Refusal> {
        let mut per_address = self.per_address.lock();
        let open = per_address.entry(address).or_insert(0);
        if *open >= limits::CONNECTIONS_PER_ADDRESS_MAX && !address.is_loopback() {
            return Err(Refusal::Address);
        }
        if PROCESS_CONNECTIONS.fetch_add(1, Ordering::Relaxed) >= self.process_max {
            PROCESS_CONNECTIONS.fetch_sub(1, Ordering::Relaxed);
            if *open == 0 {
                per_address.remove(&address);
            }
            return Err(Refusal::Process { max: self.process_max });
        }
        *open += 1;
        Ok(Place { admission: Arc::clone(self), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        PROCESS_CONNECTIONS.fetch_sub(1, Ordering::Relaxed);
        let mut per_address = self.admission.per_address.lock();
        if let Some(open) = per_address.get_mut(&self.address) {
            *open -= 1;
            if *open == 0 {
                per_address.remove(&self.address);
            }
        }
    }
}

/// Descriptors that clients may use: the limit of the process without what is reserved for everything else.
fn spare_descriptors() -> usize {
    #[cfg(unix)]
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    #[cfg(not(unix))]
    let limit = u64::MAX;
    usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(limits::DESCRIPTORS_RESERVED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

    #[test]
    fn an_address_has_its_limit_and_gives_back() {
        let admission = Admission::with_process_max(usize::MAX);
        let places: Vec<Place> =
            (0..limits::CONNECTIONS_PER_ADDRESS_MAX).map(|_| admission.admit(HERE).unwrap()).collect();
        assert_eq!(admission.admit(HERE).unwrap_err(), Refusal::Address);
        assert!(admission.admit(THERE).is_ok());
        let tests: Vec<_> = (0..=limits::CONNECTIONS_PER_ADDRESS_MAX)
            .map(|_| admission.admit(Ipv4Addr::LOCALHOST.into()))
            .collect();
        assert!(tests.iter().all(Result::is_ok), "a test machine talks to itself");
        drop((places, tests));
        assert!(admission.admit(HERE).is_ok());
        assert!(admission.per_address.lock().is_empty());
    }

    #[test]
    fn a_process_without_room_refuses_everybody() {
        let admission = Admission::with_process_max(0);
        assert_eq!(admission.admit(HERE).unwrap_err(), Refusal::Process { max: 0 });
        assert!(admission.per_address.lock().is_empty());
    }
}
