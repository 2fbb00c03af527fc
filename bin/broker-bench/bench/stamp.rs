//! What a message carries: which stream it is of and its number there, then
//! filler that is known.
//!
//! The stamp is one number of 64 bits, written as sixteen letters, one for each four
//! bits, `a` to `p`: they mean nothing special to any protocol or shell. Eight letters
//! are handled at once, because this runs for each delivered message.

/// Bytes of a stamp: what a message carries at least.
pub const STAMP_BYTES: usize = 16;
/// Bits that say which stream.
const STREAM_BITS: u32 = 20;
/// How many streams there can be.
pub const STREAMS_MAX: usize = 1 << STREAM_BITS;
const NUMBER_BITS: u32 = 64 - STREAM_BITS;

const LETTER_A: u64 = 0x6161_6161_6161_6161;

/// Where a message belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// One publisher on one channel; below [`STREAMS_MAX`].
    pub stream: u32,
    /// Counts from 0.
    pub number: u64,
}

impl Stamp {
    /// Writes itself over the first [`STAMP_BYTES`].
    #[inline]
    pub fn write(self, out: &mut [u8]) {
        let all = u64::from(self.stream) << NUMBER_BITS | self.number & ((1 << NUMBER_BITS) - 1);
        out[..8].copy_from_slice(&letters(all >> 32).to_be_bytes());
        out[8..16].copy_from_slice(&letters(all & 0xFFFF_FFFF).to_be_bytes());
    }

    /// The stamp that stands at the front, if there is one.
    #[inline]
    pub fn read(payload: &[u8]) -> Option<Stamp> {
        let (high, rest) = payload.split_first_chunk::<8>()?;
        let (low, _) = rest.split_first_chunk::<8>()?;
        let all = bits(u64::from_be_bytes(*high))? << 32 | bits(u64::from_be_bytes(*low))?;
        let stream = u32::try_from(all >> NUMBER_BITS).ok()?;
        Some(Stamp { stream, number: all & ((1 << NUMBER_BITS) - 1) })
    }
}

/// 32 bits as eight letters.
#[inline]
fn letters(bits: u64) -> u64 {
    let spread = (bits | bits << 16) & 0x0000_FFFF_0000_FFFF;
    let spread = (spread | spread << 8) & 0x00FF_00FF_00FF_00FF;
    let spread = (spread | spread << 4) & 0x0F0F_0F0F_0F0F_0F0F;
    spread + LETTER_A
}

/// The reverse; `None` if one of them is not such a letter. A byte below `a`
/// becomes one with bits beyond the fourth, whatever it borrows.
#[inline]
fn bits(letters: u64) -> Option<u64> {
    let spread = letters.wrapping_sub(LETTER_A);
    if spread & 0xF0F0_F0F0_F0F0_F0F0 != 0 {
        return None;
    }
    let bits = (spread | spread >> 4) & 0x00FF_00FF_00FF_00FF;
    let bits = (bits | bits >> 8) & 0x0000_FFFF_0000_FFFF;
    Some((bits | bits >> 16) & 0xFFFF_FFFF)
}

/// A payload of this many bytes, at least [`STAMP_BYTES`], not stamped yet.
pub fn blank(bytes: usize) -> Vec<u8> {
    let filler = (b'A'..=b'Z').cycle();
    let stamp = std::iter::repeat_n(b'a', STAMP_BYTES);
    stamp.chain(filler).take(bytes.max(STAMP_BYTES)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_letters_and_comes_back() {
        for stamp in [
            Stamp { stream: 0, number: 0 },
            Stamp { stream: 1, number: 0x0123_4567_89AB },
            Stamp { stream: 0xF_FFFF, number: (1 << NUMBER_BITS) - 1 },
        ] {
            let mut text = [0; STAMP_BYTES];
            stamp.write(&mut text);
            assert!(text.iter().all(|byte| (b'a'..=b'p').contains(byte)), "{text:?}");
            assert_eq!(Stamp::read(&text), Some(stamp));
        }
    }

    #[test]
    fn every_byte_that_is_no_letter_of_a_stamp_is_noticed() {
        for place in 0..STAMP_BYTES {
            for byte in (0..=255).filter(|byte| !(b'a'..=b'p').contains(byte)) {
                let mut text = blank(STAMP_BYTES);
                text[place] = byte;
                assert_eq!(Stamp::read(&text), None, "{byte} at {place}");
            }
        }
        assert_eq!(Stamp::read(b"aaaaaaaaaaaaaaa"), None);
    }
}
