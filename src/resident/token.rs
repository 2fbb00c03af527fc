//! Proof that a request may act for a resident.

use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// A resident's session and its secret: 64 hexadecimal digits, of which 244
/// bits are random.
#[derive(Clone, Copy)]
pub struct Token {
    /// The session, which finds the resident.
    pub session: Uuid,
    /// The secret, which proves the token.
    pub secret: Uuid,
}

impl PartialEq for Token {
    /// Takes the same time whichever digit differs: two numbers of 128 bits are
    /// compared as a whole.
    fn eq(&self, other: &Self) -> bool {
        let session = self.session.as_u128() ^ other.session.as_u128();
        let secret = self.secret.as_u128() ^ other.secret.as_u128();
        session | secret == 0
    }
}

impl Eq for Token {}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.session.simple(), self.secret.simple())
    }
}

/// Without the secret, which must not get into a log.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}…)", self.session.simple())
    }
}

impl FromStr for Token {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (session, secret) = text.split_at_checked(32).ok_or(())?;
        let uuid = |text: &str| match text.len() {
            32 => Uuid::try_parse(text).map_err(drop),
            _ => Err(()),
        };
        Ok(Token { session: uuid(session)?, secret: uuid(secret)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_being_told_and_hides_from_the_log() {
        let token = Token { session: Uuid::new_v4(), secret: Uuid::new_v4() };
        let told = token.to_string();
        assert_eq!((told.len(), told.parse()), (64, Ok(token)));
        assert!(!format!("{token:?}").contains(&told[32..]));
        let other = Token { secret: Uuid::new_v4(), ..token };
        assert_ne!(token, other);
        for bad in ["", "x", &told[1..], &format!("{told}0"), &told.replace(['a', '4'], "é")] {
            assert!(bad.parse::<Token>().is_err(), "{bad}");
        }
    }
}
