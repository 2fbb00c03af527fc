//! Texts made from the arguments of a program: man pages and completions.

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use std::io;

/// The man page of a program, or of one of its subcommands.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] if there is no such subcommand.
pub fn page(mut program: Command, subcommand: Option<&str>) -> io::Result<Vec<u8>> {
    // Gives the subcommands their full names.
    program.build();
    let command = match subcommand {
        None => program,
        Some(name) => {
            let found = program.find_subcommand(name).filter(|found| !found.is_hide_set());
            found.ok_or(io::ErrorKind::NotFound)?.clone()
        }
    };
    let mut page = Vec::new();
    Man::new(command.clone()).title(title(&command)).render(&mut page)?;
    Ok(page)
}

/// The title of a man page: `broker-client-hold`.
fn title(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

/// The script by which a shell completes a program's arguments.
pub fn completions(name: &'static str, program: &Command, shell: Shell) -> Vec<u8> {
    // Subcommands that the help hides are not offered either.
    let visible = program.get_subcommands().filter(|command| !command.is_hide_set());
    let mut shown = Command::new(name)
        .version(env!("CARGO_PKG_VERSION"))
        .args(program.get_arguments())
        .subcommands(visible);
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut shown, name, &mut script);
    // clap_complete takes the hyphen in a program's name for the beginning of a
    // subcommand, in one of two places, so that subcommands would never be found.
    let (found, meant) = (name.replace('-', "__subcmd__"), name.replace('-', "__"));
    String::from_utf8_lossy(&script).replace(&found, &meant).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Arg;

    fn program() -> Command {
        let kept = Command::new("keep").about("Keeps things").arg(Arg::new("long").long("long"));
        let hidden = Command::new("hidden").hide(true);
        Command::new("tidy").about("Tidies up").subcommand(kept).subcommand(hidden)
    }

    #[test]
    fn programs_and_their_subcommands_have_pages() {
        let text = |subcommand| String::from_utf8(page(program(), subcommand).unwrap()).unwrap();
        assert!(text(None).contains("tidy \\- Tidies up"), "{}", text(None));
        let keep = text(Some("keep"));
        assert!(keep.contains(".TH tidy-keep 1") && keep.contains("Keeps things"), "{keep}");
        assert!(!text(None).contains("hidden"));
        for none in ["other", "hidden"] {
            assert!(page(program(), Some(none)).is_err());
        }
    }

    #[test]
    fn shells_learn_the_arguments() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = String::from_utf8(completions("tidy", &program(), shell)).unwrap();
            assert!(script.contains("keep") && script.contains("long"), "{shell}: {script}");
            assert!(!script.contains("hidden"), "{shell}: {script}");
        }
    }
}
