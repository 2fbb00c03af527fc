//! Sequences of numbers from 0 to 100: made from a seed, cut into batches, and
//! summed up. Pure; what is kept of one is in [`crate::broker`], and the requests
//! for it are in [`crate::wire::numseq`].

use md5::{Digest, Md5};
use rand_mt::Mt;
use serde::{Deserialize, Serialize};
use sha2::Sha512;
use uuid::Uuid;

/// The largest number.
pub const NUMBER_MAX: u8 = 100;

/// The seed of a sequence. The same seed always gives the same numbers, so it is
/// all that has to be kept of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seed {
    /// Bytes from the system's random generator.
    Random([u8; 32]),
    /// A client id, for tests: the numbers are what `CPython` gives for
    /// `random.Random(str(id)).randint(0, 100)`.
    Name([u8; 16]),
}

impl Seed {
    /// A seed that nobody can predict.
    pub fn random() -> Self {
        // 244 bits from the system; 12 say that these are random UUIDs.
        let mut seed = [0; 32];
        seed[..16].copy_from_slice(Uuid::new_v4().as_bytes());
        seed[16..].copy_from_slice(Uuid::new_v4().as_bytes());
        Seed::Random(seed)
    }

    /// The seed of this client id.
    pub fn name(id: Uuid) -> Self {
        Seed::Name(id.into_bytes())
    }

    /// The first `count` numbers.
    pub fn numbers(&self, count: u16) -> Vec<u8> {
        let mut generator = Mt::new_with_key(self.key());
        let mut numbers = Vec::with_capacity(count.into());
        while numbers.len() < usize::from(count) {
            // The seven highest bits, as `CPython` takes them.
            let [number, ..] = (generator.next_u32() >> 1).to_be_bytes();
            if number <= NUMBER_MAX {
                numbers.push(number);
            }
        }
        numbers
    }

    /// The generator's key: words, the least significant first.
    fn key(&self) -> Vec<u32> {
        match self {
            Seed::Random(bytes) => words(bytes),
            Seed::Name(id) => {
                // CPython's seeding of version 2: the text and its SHA-512, as
                // one number.
                let name = Uuid::from_bytes(*id).to_string();
                let mut bytes = name.clone().into_bytes();
                bytes.extend_from_slice(&Sha512::digest(name));
                words(&bytes)
            }
        }
    }
}

/// Cuts a number, given with its most significant byte first, into words of 32
/// bits, the least significant first.
fn words(bytes: &[u8]) -> Vec<u32> {
    let word = |bytes: &[u8]| bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
    bytes.rchunks(4).map(word).collect()
}

/// The batch of this index, if there is one; the last may be shorter.
pub fn batch(numbers: &[u8], size: u64, index: u64) -> Option<&[u8]> {
    let first = usize::try_from(index.checked_mul(size)?).ok()?;
    let rest = numbers.get(first..).filter(|rest| !rest.is_empty())?;
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    Some(&rest[..rest.len().min(size)])
}

/// How many batches this many numbers make.
pub fn batches(count: u16, size: u64) -> u64 {
    u64::from(count).div_ceil(size.max(1))
}

/// The MD5, in hex, of the list of numbers as Python prints it.
pub fn checksum(numbers: &[u8]) -> String {
    let mut text = String::with_capacity(4 * numbers.len() + 2);
    text.push('[');
    join(numbers, ", ", &mut text);
    text.push(']');
    format!("{:x}", Md5::digest(text))
}

/// Appends the numbers, separated by `between`.
pub fn join(numbers: &[u8], between: &str, text: &mut String) {
    let mut digits = itoa::Buffer::new();
    for (at, number) in numbers.iter().enumerate() {
        if at > 0 {
            text.push_str(between);
        }
        text.push_str(digits.format(*number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(0x123e_4567_e89b_12d3_a456_4266_1417_4000);

    fn joined(numbers: &[u8]) -> String {
        let mut text = String::new();
        join(numbers, ":", &mut text);
        text
    }

    /// The count, a batch of five with its index, the checksum, the sum.
    const VECTORS: [(u16, u64, &str, &str, u64); 4] = [
        (5, 0, "6:41:81:68:68", "f90b20dae8c9b7d7be2a5fb7cc856e8b", 264),
        (10, 1, "41:10:40:78:98", "9b14501c5359fb4eac96df9e874348b2", 531),
        (10_000, 630, "54:94:94:19:96", "589f9ca74cb5ea9a32eddd14840d5b64", 504_721),
        (10_000, 1_999, "40:53:59:98:3", "589f9ca74cb5ea9a32eddd14840d5b64", 504_721),
    ];

    #[test]
    fn a_name_gives_the_numbers_that_cpython_gives() {
        for (count, index, numbers, sum_of_md5, sum) in VECTORS {
            let all = Seed::name(ID).numbers(count);
            assert_eq!(joined(batch(&all, 5, index).unwrap()), numbers);
            assert_eq!(checksum(&all), sum_of_md5);
            assert_eq!(all.iter().map(|number| u64::from(*number)).sum::<u64>(), sum);
        }
    }

    #[test]
    fn random_ones_are_reproducible_differ_and_use_the_whole_range() {
        let (one, other) = (Seed::random(), Seed::random());
        let numbers = one.numbers(u16::MAX);
        assert_eq!(numbers.len(), 65_535);
        assert_eq!(numbers, one.numbers(u16::MAX));
        assert_ne!(numbers, other.numbers(u16::MAX));
        assert_eq!(numbers[..100], one.numbers(100));
        assert_eq!((numbers.iter().min(), numbers.iter().max()), (Some(&0), Some(&100)));
    }

    #[test]
    fn batches_at_the_edges() {
        let numbers = Seed::name(ID).numbers(12);
        assert_eq!(batches(12, 5), 3);
        assert_eq!(batch(&numbers, 5, 2).unwrap(), &numbers[10..]);
        assert_eq!(batch(&numbers, 5, 3), None);
        assert_eq!(batch(&numbers, 4, 3), None);
        assert_eq!(batch(&numbers, u64::MAX, 0).unwrap(), &numbers[..]);
        assert_eq!(batch(&numbers, u64::MAX, 1), None);
        assert_eq!(batch(&numbers, 2, u64::MAX), None);
        assert_eq!((batches(0, 5), batch(&[], 5, 0)), (0, None));
        assert_eq!(checksum(&[]), "d751713988987e9331980363e24189ce", "the MD5 of []");
    }
}
