//! Proves to a receiver that a delivery came from this broker, for this member, and
//! not long ago.

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The value of the header `Broker-Signature`: `sha256=` and, in hexadecimal,
/// the HMAC-SHA-256 under `key` of the timestamp's digits, a dot, and the body.
///
/// The timestamp is in there so that an old delivery cannot be passed off as a
/// new one.
pub(super) fn sign(key: &[u8], timestamp: i64, body: &[u8]) -> String {
    // HMAC takes keys of every length.
    #[allow(clippy::expect_used)]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    format!("sha256={:x}", mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The output of
    /// `printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac secret`.
    #[test]
    fn others_come_to_the_same() {
        let signature = sign(b"secret", 1_700_000_000, br#"{"a":1}"#);
        assert_eq!(
            signature,
            "sha256=49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686"
        );
        assert_ne!(signature, sign(b"secret", 1_700_000_001, br#"{"a":1}"#));
        assert_ne!(signature, sign(b"secreu", 1_700_000_000, br#"{"a":1}"#));
        assert_ne!(signature, sign(b"secret", 1_700_000_000, br#"{"a":2}"#));
    }
}
