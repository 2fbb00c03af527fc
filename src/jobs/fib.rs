//! The job `fib N`: the Nth Fibonacci number, exactly.

use super::{Desk, Given, Job, Parameter, Say};
use crate::error::Fault;
use crate::request::Usage;
use num_bigint::BigUint;

/// The largest N: its number has a little over a million digits, and takes
/// seconds.
const N_MAX: u64 = 5_000_000;

const PARAMETERS: &[Parameter] = &[Parameter::word("n")];

/// The job.
pub struct Fib;

impl Job for Fib {
    type Task = u64;

    fn usage(&self) -> Usage {
        Usage::new("fib", "[--to MEMBER] N", "a job: the Nth Fibonacci number")
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn prepare(&self, given: Given<'_>, _desk: &dyn Desk) -> Result<u64, Fault> {
        given.number("n", 0..=N_MAX)
    }

    fn run(&self, n: u64, _say: Say<'_>) -> Result<String, String> {
        Ok(fibonacci(n).to_string())
    }
}

/// By fast doubling: for each bit of `n`, from F(k) and F(k+1) to F(2k) and
/// F(2k+1), and one further if the bit is set.
fn fibonacci(n: u64) -> BigUint {
    let (mut a, mut b) = (BigUint::ZERO, BigUint::from(1_u8));
    for bit in (0..u64::BITS - n.leading_zeros()).rev() {
        let doubled = &a * ((&b << 1) - &a);
        let next = &a * &a + &b * &b;
        (a, b) = if n >> bit & 1 == 0 { (doubled, next) } else { (next.clone(), doubled + next) };
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_hundred_add_up() {
        let (mut a, mut b) = (BigUint::ZERO, BigUint::from(1_u8));
        for n in 0..100 {
            assert_eq!(fibonacci(n), a, "fib {n}");
            (a, b) = (b.clone(), a + b);
        }
    }

    #[test]
    fn large_ones_are_exact() {
        // F(m+n) = F(m) F(n+1) + F(m-1) F(n), two ways to one number.
        let (m, n) = (12_345, 23_456);
        let sum = fibonacci(m) * fibonacci(n + 1) + fibonacci(m - 1) * fibonacci(n);
        assert_eq!(fibonacci(m + n), sum);
        let text = fibonacci(100_000).to_string();
        assert_eq!(
            (text.len(), &text[..10], &text[20_889..]),
            (20_899, "2597406934", "3428746875")
        );
    }
}
