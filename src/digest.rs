//! SHA-256 in lower-case hexadecimal digits, as configurations, objects and the trail's lines are named by it.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};

/// The digest of some bytes: 64 digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
