//! The arguments of a job: texts by name, whatever the dialect.

use crate::error::{Code, Fault, quoted};
use std::ops::RangeInclusive;

/// The arguments of one job.
#[derive(Clone, Copy, Debug)]
pub struct Given<'g>(pub &'g [(&'static str, String)]);

impl<'g> Given<'g> {
    /// An argument that must be there.
    ///
    /// # Errors
    /// [`Code::BadRequest`] if it is missing.
    pub fn text(&self, name: &str) -> Result<&'g str, Fault> {
        self.find(name).ok_or_else(|| bad(format!("{name} is missing")))
    }

    /// An argument that must be there, as a whole number.
    ///
    /// # Errors
    /// [`Code::BadRequest`] if it is missing, no number, or out of range.
    pub fn number(&self, name: &str, range: RangeInclusive<u64>) -> Result<u64, Fault> {
        read(name, self.text(name)?, &range)
    }

    /// An argument that may be missing, as a whole number.
    ///
    /// # Errors
    /// [`Code::BadRequest`] if it is no number, or out of range.
    pub fn optional_number(
        &self,
        name: &str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, Fault> {
        self.find(name).map(|text| read(name, text, &range)).transpose()
    }

    fn find(&self, name: &str) -> Option<&'g str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, text)| text.as_str())
    }
}

fn read(name: &str, text: &str, range: &RangeInclusive<u64>) -> Result<u64, Fault> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        let got = quoted(text);
        bad(format!("{name} takes a whole number from {least} to {most}, not {got}"))
    })
}

fn bad(text: String) -> Fault {
    Fault::new(Code::BadRequest, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_at_the_limits_and_one_past_them() {
        let read = |text: &str| Given(&[("n", text.to_owned())]).number("n", 1..=65_535);
        assert_eq!((read("1"), read("65535"), read("007")), (Ok(1), Ok(65_535), Ok(7)));
        // As everywhere else numbers are read.
        assert_eq!(read("+5"), Ok(5));
        for text in ["0", "65536", "", "-1", "+", "++1", "1.0", " 1", "99999999999999999999"] {
            let fault = read(text).unwrap_err();
            assert_eq!(fault.code, Code::BadRequest);
            assert!(fault.message.starts_with("n takes a whole number from 1 to 65535, not "));
        }
        let nothing = Given(&[]);
        assert_eq!(nothing.number("n", 0..=1).unwrap_err().message, "n is missing");
        assert_eq!(nothing.optional_number("n", 0..=1), Ok(None));
    }
}
