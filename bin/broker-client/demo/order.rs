//! What members of a demonstration tell each other to do, and what they answer:
//! words only, for nothing is done.

use ranked_broker::client::reconnect::random;
use std::time::Duration;

/// An order, and what comes of it.
#[derive(Debug)]
pub struct Order {
    /// The command's name and arguments.
    pub words: &'static [&'static str],
    done: &'static str,
    /// What is said when it fails, once in [`FAILS`].
    failed: &'static str,
}

/// One in so many orders fails: results that are all the same show nothing.
const FAILS: u64 = 12;

/// How long it takes to obey, at least and at most, in milliseconds: long enough
/// to be seen to come in one after the other.
const TAKES_MS: (u64, u64) = (80, 900);

static ORDERS: &[Order] = &[
    Order { words: &["lights", "on"], done: "the lights are on", failed: "a bulb is broken" },
    Order { words: &["lights", "off"], done: "it is dark", failed: "the switch is stuck" },
    Order { words: &["brew", "coffee"], done: "it smells good", failed: "out of beans" },
    Order { words: &["ring", "bell"], done: "ding", failed: "no clapper" },
    Order { words: &["report", "weather"], done: "sunny", failed: "fog, nothing to see" },
    Order { words: &["water", "plants"], done: "all watered", failed: "the can is empty" },
    Order { words: &["count", "sheep"], done: "12 sheep", failed: "fell asleep at 7" },
    Order { words: &["raise", "flag", "blue"], done: "it flies", failed: "no wind" },
];

/// Any order.
pub fn any() -> &'static Order {
    &ORDERS[usize::try_from(random(ORDERS.len() as u64)).unwrap_or(0)]
}

/// How long obeying a command takes.
pub fn effort() -> Duration {
    Duration::from_millis(TAKES_MS.0 + random(TAKES_MS.1 - TAKES_MS.0 + 1))
}

/// The result of a command: its code, and a word about it.
pub fn result(name: &str, args: &[String]) -> (i32, &'static str) {
    let said = |order: &&Order| {
        order.words.split_first().is_some_and(|(first, rest)| *first == name && rest == args)
    };
    match ORDERS.iter().find(said) {
        Some(order) if random(FAILS) == 0 => (1, order.failed),
        Some(order) => (0, order.done),
        // A spectator has sent a command of their own.
        None => (0, "as you say; in a demonstration nothing is done"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_is_understood_and_a_strangers_word_too() {
        for order in ORDERS {
            let args: Vec<String> = order.words[1..].iter().map(ToString::to_string).collect();
            let expected = [(0, order.done), (1, order.failed)];
            assert!(expected.contains(&result(order.words[0], &args)));
        }
        assert_eq!(result("lights", &[]).0, 0);
        assert!(result("rm", &["-rf".into()]).1.contains("nothing is done"));
    }
}
