//! Base64, as far as it is looked into.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Padding may be there or not, and a text may have been cut.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const PLAIN: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const OF_URLS: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// Characters of a `user:password` in base64.
const USER: usize = 1024;

/// The bytes of a text in base64, with either alphabet.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    PLAIN.decode(text).or_else(|_| OF_URLS.decode(text)).ok()
}

/// True for `user:password` in base64, as in `Basic` headers and in the `auth` of `.dockerconfigjson`.
pub(crate) fn is_user_and_password(text: &str) -> bool {
    if text.len() < 6 || text.len() > USER {
        return false;
    }
    let Some(bytes) = decode(text) else { return false };
    let is_text = bytes.iter().all(|byte| (0x20..0x7f).contains(byte));
    let mut parts = bytes.splitn(2, |byte| *byte == b':');
    let (user, password) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    is_text && !user.is_empty() && !password.is_empty() && !password.contains(&b'$') && !password.contains(&b'{')
}

/// True for the beginning of a PEM private key in base64.
pub(crate) fn is_private_key(text: &str) -> bool {
    let beginning = text.get(..text.len().min(64)).unwrap_or_default();
    let beginning = beginning.get(..beginning.len() / 4 * 4).unwrap_or_default();
    decode(beginning).is_some_and(|bytes| bytes.windows(11).any(|window| window == b"PRIVATE KEY"))
}
