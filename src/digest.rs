//! SHA-256 in lower-case hexadecimal digits, as configurations, objects and the trail's lines are named by it.

use aws_lc_rs::digest::{SHA256, digest};

/// The digest of some bytes: 64 digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// The bytes of hexadecimal digits; a pair that is none counts as zero.
pub(crate) fn unhex(digits: &str) -> impl Iterator<Item = u8> {
    let pair = |at| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    (0..digits.len() / 2).map(move |position| pair(position * 2).unwrap_or_default())
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = Vec::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    String::from_utf8(text).unwrap_or_default()
}
