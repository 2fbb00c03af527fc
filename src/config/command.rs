//! The command line, made from the table of settings.

use clap::{Arg, ArgAction, Command};

use super::settings::Setting;
use super::table::SETTINGS;
use super::{Config, layers};

const EXAMPLES: &str = "\
Examples:
  broker                                  this machine only, port 7700
  broker 0.0.0.0 7700                     every address of this machine
  broker --max-clients 1000 --stall 1s    with other limits
  broker --config broker.toml             with the settings in a file
  broker --config broker.toml --show-config > new.toml
                                          what would be in force, and from where
  nc 127.0.0.1 7700                       connect: type `help`
";

const AFTER: &str = "\
A setting is looked for among the flags, then in the environment (BROKER_MAX_CLIENTS), then in
the TOML file of --config (max-clients = 1000), and otherwise has its default. An empty variable
counts as none. RUST_LOG=debug says more in the log, RUST_LOG=warn less.

Exit codes: 0 stopped in order, 1 could not start or had to stop, 2 wrong arguments or settings.";

/// The name of the flag that names the file.
pub(super) const CONFIG: &str = "config";
/// The name of the flag that prints the settings.
pub(super) const SHOW_CONFIG: &str = "show-config";

/// The name of the flag that checks a file.
pub(super) const CHECK_CONFIG: &str = "check-config";
/// The name of the flag that prints the man page.
pub(super) const MAN: &str = "man";
/// The name of the flag that prints completions.
pub(super) const COMPLETIONS: &str = "completions";

/// The whole command line.
pub(super) fn command() -> Command {
    Command::new("broker")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A publish/subscribe channel broker whose members hold ranks")
        .before_help(EXAMPLES)
        .after_help(AFTER)
        .max_term_width(100)
        .args(SETTINGS.iter().map(argument))
        .arg(
            Arg::new(CONFIG)
                .long(CONFIG)
                .value_name("FILE")
                .value_parser(clap::value_parser!(std::path::PathBuf))
                .help(format!("A TOML file with settings [env: {}]", layers::CONFIG_VARIABLE)),
        )
        .arg(
            Arg::new(SHOW_CONFIG)
                .long(SHOW_CONFIG)
                .action(ArgAction::SetTrue)
                .help("Print every setting and where it comes from, as a TOML file, and exit"),
        )
        .arg(
            Arg::new(CHECK_CONFIG)
                .long(CHECK_CONFIG)
                .value_name("FILE")
                .value_parser(clap::value_parser!(std::path::PathBuf))
                .help("Say all that is wrong with a TOML file, line by line, and exit"),
        )
        .arg(
            Arg::new(COMPLETIONS)
                .long(COMPLETIONS)
                .value_name("SHELL")
                .value_parser(clap::value_parser!(clap_complete::Shell))
                .help("Print what a shell needs to complete these arguments, and exit"),
        )
        .arg(
            Arg::new(MAN).long(MAN).action(ArgAction::SetTrue).help("Print the man page, and exit"),
        )
}

fn argument(setting: &'static Setting) -> Arg {
    let default = match setting.show(&Config::default()) {
        none if none.is_empty() => "none".into(),
        value => value,
    };
    let known = format!("[default: {default}] [env: {}]", setting.variable());
    let argument = Arg::new(setting.name)
        .value_name(setting.value_name)
        .help(format!("{} {known}", setting.help))
        .long_help(format!("{}. {}\n{known}", setting.help, setting.why));
    let argument = if setting.is_list() { argument.action(ArgAction::Append) } else { argument };
    if setting.is_positional() { argument } else { argument.long(setting.name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_finds_no_fault_in_it() {
        command().debug_assert();
    }

    #[test]
    fn the_help_begins_with_examples_and_tells_of_every_setting() {
        for help in [command().render_help(), command().render_long_help()] {
            let help = help.to_string();
            assert!(help.starts_with("Examples:\n"), "{help}");
            for setting in SETTINGS {
                assert!(help.contains(&setting.variable()), "{}: {help}", setting.name);
            }
        }
    }
}
