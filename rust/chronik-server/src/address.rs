//! Addresses as configurations write them: `host:port`, `[v6]:port`, or a host alone where a port is known otherwise.
//!
//! Nothing here resolves a name or opens a socket.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use thiserror::Error;

/// A host, not yet resolved, and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    /// A name or an address; IPv6 without its brackets.
    pub host: String,
    /// 0 asks the system to choose, where that makes sense.
    pub port: u16,
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddressError {
    /// Nothing before the colon.
    #[error("\"{0}\" has no host; write host:port")]
    NoHost(String),
    /// Nothing after it, or no colon at all.
    #[error("\"{0}\" has no port; write host:port")]
    NoPort(String),
    /// Something that is no port after it.
    #[error("\"{0}\" does not end in a port; a port is a number from 0 to 65535")]
    BadPort(String),
    /// An IPv6 address that leaves open where the port begins.
    #[error("\"{0}\" has too many colons; write an IPv6 address in brackets, as in [::1]:9092")]
    Brackets(String),
    /// A character no host name has.
    #[error("\"{0}\" has a host with a space or a slash in it; write host:port")]
    BadHost(String),
}

impl HostPort {
    /// Parses `host:port` or `[v6]:port`.
    pub fn parse(text: &str) -> Result<HostPort, AddressError> {
        match split(text)? {
            (host, Some(port)) => Ok(HostPort { host, port }),
            (_, None) => Err(AddressError::NoPort(text.to_owned())),
        }
    }

    /// Whether only this machine can reach it.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }

    /// Whether it stands for every interface.
    pub fn is_unspecified(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified())
    }

    /// Whether two listeners with these addresses would be in each other's way.
    pub fn collides_with(&self, other: &HostPort) -> bool {
        self.port != 0
            && self.port == other.port
            && (self.is_unspecified() || other.is_unspecified() || self.comparable() == other.comparable())
    }

    /// The form in which two spellings of one address are equal.
    pub fn comparable(&self) -> (String, u16) {
        (listen_host(&self.host).to_lowercase(), self.port)
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A host with or without a port: `node1`, `node1:9092`, `::1`, `[::1]`, `[::1]:9092`.
pub(crate) fn split(text: &str) -> Result<(String, Option<u16>), AddressError> {
    let text = text.trim();
    if text.parse::<Ipv6Addr>().is_ok() {
        return Ok((text.to_owned(), None));
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) =
                rest.split_once(']').ok_or_else(|| AddressError::Brackets(text.to_owned()))?;
            if host.parse::<Ipv6Addr>().is_err() {
                return Err(AddressError::Brackets(text.to_owned()));
            }
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return Err(AddressError::BadPort(text.to_owned())),
            }
        }
        None if text.matches(':').count() > 1 => return Err(AddressError::Brackets(text.to_owned())),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if host.is_empty() {
        return Err(AddressError::NoHost(text.to_owned()));
    }
    if host.contains(|letter: char| letter.is_whitespace() || letter == '/' || letter == ',') {
        return Err(AddressError::BadHost(text.to_owned()));
    }
    let port = match port {
        None => None,
        Some("") => return Err(AddressError::NoPort(text.to_owned())),
        Some(port) => Some(port.parse().map_err(|_| AddressError::BadPort(text.to_owned()))?),
    };
    Ok((host.to_owned(), port))
}

/// Splits a list element at its colons, leaving a bracketed IPv6 host whole: `[::1]:9092:5001` gives three parts.
pub(crate) fn split_parts(text: &str) -> Vec<&str> {
    let text = text.trim();
    match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, after)) => {
            let mut parts = vec![host];
            if !after.is_empty() {
                parts.extend(after.strip_prefix(':').unwrap_or(after).split(':'));
            }
            parts
        }
        None => text.split(':').collect(),
    }
}

/// Whether a host means this machine and no other.
pub(crate) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The host to listen on for a host as clients are told it. `localhost` may resolve to `::1` first, where clients that
/// only try `127.0.0.1` would find nobody.
pub(crate) fn listen_host(host: &str) -> &str {
    if host.eq_ignore_ascii_case("localhost") { "127.0.0.1" } else { host }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &str, port: u16) -> HostPort {
        HostPort { host: host.into(), port }
    }

    #[test]
    fn the_three_spellings_parse_and_print_back() {
        for (text, host, port) in [
            ("localhost:9092", "localhost", 9092),
            ("10.0.0.1:0", "10.0.0.1", 0),
            ("[::1]:9092", "::1", 9092),
        ] {
            let parsed = HostPort::parse(text).unwrap();
            assert_eq!(parsed, address(host, port));
            assert_eq!(parsed.to_string(), text);
        }
        assert_eq!(split("::1").unwrap(), ("::1".into(), None));
        assert_eq!(split("[::1]").unwrap(), ("::1".into(), None));
        assert_eq!(split("node1").unwrap(), ("node1".into(), None));
    }

    #[test]
    fn each_malformed_address_has_its_own_reason() {
        let reason = |text: &str| HostPort::parse(text).unwrap_err();
        assert_eq!(reason("node1"), AddressError::NoPort("node1".into()));
        assert_eq!(reason("node1:"), AddressError::NoPort("node1:".into()));
        assert_eq!(reason(":9092"), AddressError::NoHost(":9092".into()));
        assert_eq!(reason("node1:65536"), AddressError::BadPort("node1:65536".into()));
        assert_eq!(reason("node1:kafka"), AddressError::BadPort("node1:kafka".into()));
        assert_eq!(reason("::1:9092:x"), AddressError::Brackets("::1:9092:x".into()));
        assert_eq!(reason("[node1]:9092"), AddressError::Brackets("[node1]:9092".into()));
        assert_eq!(reason("[::1]9092"), AddressError::BadPort("[::1]9092".into()));
        assert_eq!(reason("PLAINTEXT://node1"), AddressError::BadPort("PLAINTEXT://node1".into()));
        assert_eq!(reason("a b:1"), AddressError::BadHost("a b:1".into()));
    }

    #[test]
    fn collisions_see_through_spellings_and_wildcards() {
        assert!(address("localhost", 9092).collides_with(&address("127.0.0.1", 9092)));
        assert!(address("0.0.0.0", 9092).collides_with(&address("10.0.0.1", 9092)));
        assert!(!address("10.0.0.2", 9092).collides_with(&address("10.0.0.1", 9092)));
        assert!(!address("0.0.0.0", 0).collides_with(&address("0.0.0.0", 0)));
    }

    #[test]
    fn list_elements_split_at_their_colons() {
        assert_eq!(split_parts("node1:9092:5001"), ["node1", "9092", "5001"]);
        assert_eq!(split_parts("[::1]:9092:9291:5001"), ["::1", "9092", "9291", "5001"]);
        assert_eq!(split_parts("[::1]"), ["::1"]);
    }
}
