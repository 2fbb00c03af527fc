//! What the broker answers, and how a client reads it.

use crate::sequence;
use uuid::Uuid;

/// One answer to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// INIT or CONT is done.
    Ack,
    /// INIT for an id that is still known.
    Exists(Uuid),
    /// CONT for an id that is not known, or not any more.
    Unknown(Uuid),
    /// A batch.
    Numbers(&'a [u8]),
    /// There is no batch of this index.
    NoBatch(&'a str),
    /// The checksum of the whole sequence.
    Checksum(&'a str),
    /// Anything else that went wrong; a sentence of our own.
    Fault(&'a str),
}

impl Answer<'_> {
    /// Appends it, with its end.
    pub fn encode(&self, out: &mut String) {
        match self {
            Answer::Ack => out.push_str("ACK"),
            Answer::Exists(id) => {
                for part in ["ERR,", &id.to_string(), " already exist"] {
                    out.push_str(part);
                }
            }
            Answer::Unknown(id) => {
                for part in ["ERR,Client-id: ", &id.to_string(), " does not exist"] {
                    out.push_str(part);
                }
            }
            Answer::Numbers(numbers) => {
                out.push_str("NUM,");
                sequence::join(numbers, ":", out);
            }
            Answer::NoBatch(index) => {
                out.push_str("ERR,Invalid batch index requested: ");
                out.push_str(index);
            }
            Answer::Checksum(checksum) => {
                out.push_str("FAC,");
                out.push_str(checksum);
            }
            Answer::Fault(text) => {
                out.push_str("ERR,");
                // Whatever it quotes, it must not end the message.
                let inner = |c: char| if c == ';' || c.is_control() { ' ' } else { c };
                out.extend(text.chars().map(inner));
            }
        }
        out.push(';');
    }
}

/// An answer, as a client reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// INIT or CONT is done.
    Ack,
    /// A batch.
    Numbers(Vec<u8>),
    /// The checksum.
    Checksum(String),
    /// It went wrong, and why.
    Err(String),
}

impl Heard {
    /// Reads an answer, without its end; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (kind, content) = text.split_once(',').unwrap_or((text, ""));
        match kind {
            "ACK" if content.is_empty() => Some(Heard::Ack),
            "NUM" => {
                let number = |word: &str| word.parse().ok().filter(|n| *n <= sequence::NUMBER_MAX);
                let numbers: Option<_> = content.split(':').map(number).collect();
                numbers.map(Heard::Numbers)
            }
            "FAC" => Some(Heard::Checksum(content.to_owned())),
            "ERR" => Some(Heard::Err(content.to_owned())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_as_the_protocol_has_it_and_as_a_client_hears_it() {
        let id = Uuid::from_u128(1);
        let err = |text: &str| Some(Heard::Err(text.into()));
        let hex = "f90b20dae8c9b7d7be2a5fb7cc856e8b";
        for (answer, text, heard) in [
            (Answer::Ack, "ACK;", Some(Heard::Ack)),
            (
                Answer::Exists(id),
                "ERR,00000000-0000-0000-0000-000000000001 already exist;",
                err("00000000-0000-0000-0000-000000000001 already exist"),
            ),
            (
                Answer::Unknown(id),
                "ERR,Client-id: 00000000-0000-0000-0000-000000000001 does not exist;",
                err("Client-id: 00000000-0000-0000-0000-000000000001 does not exist"),
            ),
            (Answer::Numbers(&[6, 100, 0]), "NUM,6:100:0;", Some(Heard::Numbers(vec![6, 100, 0]))),
            (
                Answer::NoBatch("-1"),
                "ERR,Invalid batch index requested: -1;",
                err("Invalid batch index requested: -1"),
            ),
            (
                Answer::Checksum(hex),
                "FAC,f90b20dae8c9b7d7be2a5fb7cc856e8b;",
                Some(Heard::Checksum(hex.into())),
            ),
            (Answer::Fault("a;\x1bb"), "ERR,a  b;", err("a  b")),
        ] {
            let mut out = String::new();
            answer.encode(&mut out);
            assert_eq!(out, text);
            assert_eq!(Heard::decode(&out.as_bytes()[..out.len() - 1]), heard);
        }
    }

    #[test]
    fn what_is_no_answer_is_none() {
        for bytes in [&b"NUM,"[..], b"NUM,1:101", b"NUM,1::2", b"ACK,1", b"HELLO", b"", b"\xff"] {
            assert_eq!(Heard::decode(bytes), None, "{bytes:?}");
        }
    }
}
