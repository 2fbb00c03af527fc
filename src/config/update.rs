//! New settings for a running broker.

use super::{Config, SETTINGS};

/// The settings that a running broker accepts: limits that are looked up each time,
/// and times that count from then on. The others are built into existing state
/// (`log-bytes`), have been promised to clients (`lease`), or say where the broker
/// is (`port`, `data`).
const AT_RUN_TIME: [&str; 7] = [
    "max-clients",
    "max-subscriptions",
    "max-residents",
    "max-body",
    "request-timeout",
    "session-grace",
    "drain",
];

/// What a change of the settings comes to.
#[derive(Debug, PartialEq, Eq)]
pub struct Update {
    /// The configuration in force from now on.
    pub config: Config,
    /// The settings that change with it.
    pub changed: Vec<&'static str>,
    /// The settings that were to change and need a restart.
    pub waiting: Vec<&'static str>,
}

impl Update {
    /// The update from the settings in force to the wanted ones.
    pub fn of(current: &Config, wanted: &Config) -> Update {
        let mut update =
            Update { config: current.clone(), changed: Vec::new(), waiting: Vec::new() };
        for setting in SETTINGS {
            let text = setting.show(wanted);
            if text == setting.show(current) {
                continue;
            }
            // The text that `show` gives is one that `apply` takes.
            let taken = AT_RUN_TIME.contains(&setting.name)
                && setting.apply(&text, &mut update.config).is_ok();
            if taken { &mut update.changed } else { &mut update.waiting }.push(setting.name);
        }
        update
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_can_change_does_and_the_rest_waits() {
        let current = Config::default();
        let drain = Duration::from_secs(1);
        let wanted = Config { port: 1, max_clients: 7, drain, ..current.clone() };
        let update = Update::of(&current, &wanted);
        assert_eq!(update.config, Config { max_clients: 7, drain, ..current.clone() });
        assert_eq!(update.changed, ["max-clients", "drain"]);
        assert_eq!(update.waiting, ["port"]);
        assert!(Update::of(&wanted, &wanted).changed.is_empty());
    }

    #[test]
    fn every_one_of_them_is_a_setting() {
        for name in AT_RUN_TIME {
            assert!(SETTINGS.iter().any(|setting| setting.name == name), "{name}");
        }
    }
}
