//! Messages made from the input: every one survives the way through bytes, ours and the other implementation's.

use crate::Verdict;
use crate::input::Input;
use crate::messages::{self, Body};

/// The first two bytes choose message and version, the rest fills its fields.
pub fn run(data: &[u8]) -> Verdict {
    let mut input = Input::new(data);
    let (body, version) = Body::choose(&mut input);
    let bytes = (body.sample)(input.rest().to_vec(), version);
    let again = (body.canonical)(bytes.clone(), version);
    assert_eq!(again.as_ref(), Some(&bytes), "{} version {version}", body.name);
    if let Some(theirs) = (body.through_theirs)(&bytes, version) {
        assert_eq!(theirs, bytes, "{} version {version}", body.name);
    }
    for cut in [bytes.len() / 2, bytes.len().saturating_sub(1)] {
        if cut < bytes.len() {
            let prefix = (body.canonical)(bytes.slice(..cut), version);
            assert_eq!(prefix, None, "{} version {version} is complete after {cut} bytes", body.name);
        }
    }
    Verdict::Accepted
}

/// Every message in every version.
pub fn seeds() -> Vec<Vec<u8>> {
    let each = |(index, body): (usize, &'static Body)| {
        body.versions.clone().map(move |version| {
            let fill = (0..120_u8).map(|byte| byte.wrapping_mul(37));
            Body::choice(index, version).into_iter().chain(fill).collect()
        })
    };
    messages::all().iter().enumerate().flat_map(each).collect()
}
