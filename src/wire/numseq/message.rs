//! What a client says.

use std::fmt;
use uuid::Uuid;

/// One message of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Makes a sequence.
    Init {
        /// The client's id, by which the sequence is found again.
        id: Uuid,
        /// How many numbers.
        count: u16,
        /// How many in a batch; at least 1.
        batch: u64,
    },
    /// Goes on with a sequence that was made before.
    Cont {
        /// The client's id.
        id: Uuid,
    },
    /// Asks for a batch.
    Recv {
        /// The index of the batch, as the client wrote it: a whole number of any
        /// size and sign.
        index: String,
    },
    /// Asks for the checksum, and ends.
    Fin,
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No such type.
    #[error("malformed message: it is none of INIT, CONT, RECV and FIN")]
    Type,
    /// The fields are not those of its type.
    #[error("malformed message: write {0}")]
    Fields(&'static str),
    /// The client id is no UUID.
    #[error("malformed message: the client id must be a UUID")]
    Id,
    /// The count is no whole number from 0 to 65535.
    #[error("malformed message: the count is a whole number from 0 to 65535")]
    Count,
    /// The size of a batch is no whole number from 1 up.
    #[error("malformed message: the size of a batch is a whole number from 1 up")]
    Batch,
    /// The index is no whole number.
    #[error("malformed message: the index of a batch is a whole number")]
    Index,
}

impl Message {
    /// Reads a message, without its end.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let text = std::str::from_utf8(bytes).map_err(|_| Malformed::Type)?;
        let (kind, content) = text.split_once(',').unwrap_or((text, ""));
        let fields: Vec<&str> = content.split(',').collect();
        match (kind, &fields[..]) {
            ("INIT", [id, count, batch]) => Ok(Message::Init {
                id: read_id(id)?,
                count: digits(count).and_then(|n| n.parse().ok()).ok_or(Malformed::Count)?,
                batch: digits(batch).and_then(read_batch).ok_or(Malformed::Batch)?,
            }),
            ("CONT", [id]) => Ok(Message::Cont { id: read_id(id)? }),
            ("RECV", [index]) => {
                let unsigned = index.strip_prefix(['-', '+']).unwrap_or(index);
                digits(unsigned).ok_or(Malformed::Index)?;
                Ok(Message::Recv { index: (*index).to_owned() })
            }
            ("FIN", [""]) => Ok(Message::Fin),
            ("INIT", _) => Err(Malformed::Fields("INIT,<client id>,<count>,<batch>")),
            ("CONT", _) => Err(Malformed::Fields("CONT,<client id>")),
            ("RECV", _) => Err(Malformed::Fields("RECV,<index>")),
            ("FIN", _) => Err(Malformed::Fields("FIN")),
            _ => Err(Malformed::Type),
        }
    }
}

fn read_id(text: &str) -> Result<Uuid, Malformed> {
    Uuid::parse_str(text).map_err(|_| Malformed::Id)
}

fn digits(text: &str) -> Option<&str> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(text)
}

/// The size of a batch. One that does not fit is as good as the largest number: no
/// sequence is longer than that.
fn read_batch(digits: &str) -> Option<u64> {
    let batch = digits.parse().unwrap_or(u64::MAX);
    (batch > 0).then_some(batch)
}

/// Written with its end.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Message::Init { id, count, batch } => write!(f, "INIT,{id},{count},{batch};"),
            Message::Cont { id } => write!(f, "CONT,{id};"),
            Message::Recv { index } => write!(f, "RECV,{index};"),
            Message::Fin => f.write_str("FIN;"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "123e4567-e89b-12d3-a456-426614174000";

    fn decode(text: &str) -> Result<Message, Malformed> {
        Message::decode(text.as_bytes())
    }

    #[test]
    fn every_message() {
        let id = Uuid::parse_str(ID).unwrap();
        let init = |count, batch| Ok(Message::Init { id, count, batch });
        assert_eq!(decode(&format!("INIT,{ID},0,1")), init(0, 1));
        assert_eq!(decode(&format!("INIT,{ID},65535,65536")), init(65_535, 65_536));
        assert_eq!(decode(&format!("INIT,{ID},5,{}", "9".repeat(40))), init(5, u64::MAX));
        assert_eq!(decode(&format!("CONT,{}", ID.to_uppercase())), Ok(Message::Cont { id }));
        for index in ["0", "65534", "-1", "+2", "99999999999999999999999"] {
            let message = Message::Recv { index: index.into() };
            assert_eq!(decode(&format!("RECV,{index}")), Ok(message));
        }
        assert_eq!(decode("FIN"), Ok(Message::Fin));
        assert_eq!(decode("FIN,"), Ok(Message::Fin));
    }

    #[test]
    fn what_is_none_is_told_what_it_should_be() {
        for (text, why) in [
            ("", Malformed::Type),
            ("init,1,2,3", Malformed::Type),
            ("FINE", Malformed::Type),
            ("ping", Malformed::Type),
            ("INIT", Malformed::Fields("INIT,<client id>,<count>,<batch>")),
            ("INIT,a,b", Malformed::Fields("INIT,<client id>,<count>,<batch>")),
            ("INIT,a,b,c,d", Malformed::Fields("INIT,<client id>,<count>,<batch>")),
            ("INIT,a,5,5", Malformed::Id),
            (&format!("INIT,{ID},65536,5"), Malformed::Count),
            (&format!("INIT,{ID},-1,5"), Malformed::Count),
            (&format!("INIT,{ID},+1,5"), Malformed::Count),
            (&format!("INIT,{ID},,5"), Malformed::Count),
            (&format!("INIT,{ID},5,0"), Malformed::Batch),
            (&format!("INIT,{ID},5,-5"), Malformed::Batch),
            (&format!("INIT,{ID},5, 5"), Malformed::Batch),
            ("CONT,", Malformed::Id),
            (&format!("CONT,{ID},"), Malformed::Fields("CONT,<client id>")),
            ("RECV,", Malformed::Index),
            ("RECV,1.5", Malformed::Index),
            ("RECV,--1", Malformed::Index),
            ("RECV,1,2", Malformed::Fields("RECV,<index>")),
            ("FIN,1", Malformed::Fields("FIN")),
        ] {
            assert_eq!(decode(text), Err(why), "{text}");
        }
        assert_eq!(Message::decode(b"\xff"), Err(Malformed::Type));
    }

    proptest! {
        #[test]
        fn every_message_comes_back(id in any::<u128>(), count in any::<u16>(), batch in 1_u64..) {
            let init = Message::Init { id: Uuid::from_u128(id), count, batch };
            let text = init.to_string();
            prop_assert!(text.len() <= super::super::MESSAGE_BYTES_MAX);
            prop_assert_eq!(decode(text.strip_suffix(';').unwrap()), Ok(init));
        }
    }
}
