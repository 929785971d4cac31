//! Bytes as the body of any message, requests and responses alike: clients decode, too.

use bytes::Bytes;

use crate::Verdict;
use crate::input::Input;
use crate::memory::bounded;
use crate::messages::{self, Body};

/// The first two bytes choose message and version, the rest is the body. What decodes must encode to a form that
/// decodes to itself, and that the other implementation reads and writes alike.
pub fn run(data: &[u8]) -> Verdict {
    let mut input = Input::new(data);
    let (body, version) = Body::choose(&mut input);
    let bytes = Bytes::copy_from_slice(input.rest());
    // Decoding is bounded by 16 times the input; what is decoded is encoded once more.
    let canonical = bounded(body.name, 2 * bytes.len(), || (body.canonical)(bytes.clone(), version));
    let Some(canonical) = canonical else { return Verdict::Refused };
    let again = (body.canonical)(canonical.clone(), version).expect("what we write we read");
    assert_eq!(again, canonical, "{} version {version}", body.name);
    if let Some(theirs) = (body.through_theirs)(&canonical, version) {
        assert_eq!(theirs, canonical, "{} version {version}", body.name);
    }
    Verdict::Accepted
}

/// A sample of every message in its newest version.
pub fn seeds() -> Vec<Vec<u8>> {
    let of = |(index, body): (usize, &Body)| {
        let version = *body.versions.end();
        [&Body::choice(index, version)[..], &(body.sample)(vec![1; 64], version)].concat()
    };
    messages::all().iter().enumerate().map(of).collect()
}
