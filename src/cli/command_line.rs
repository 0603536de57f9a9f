//! The command line as it is read: names, groups and colours that a derived parser can't know.

use std::ffi::OsString;

use anstream::ColorChoice;

use crate::cli::{globals::Colour, plugin};

/// Columns that every help fits.
const HELP_WIDTH: usize = 80;

/// The commands in the order in which they are shown; one that stands nowhere is shown at the end.
const GROUPS: [(&str, &[&str]); 4] = [
    ("See what is going on", &["status", "why", "pools", "deployments", "doctor"]),
    ("Change what is going on", &["pause", "resume", "drain", "run-now", "service", "deploy", "undeploy"]),
    ("Write jobs.json and modules", &["validate", "render", "plan", "forecast", "schema", "import", "modules"]),
    ("Install", &["run", "migrate", "grants", "rbac", "completions"]),
];

/// Before anything is printed: what was said of colours holds for errors and help, too.
pub(super) fn choose_colours(words: &[OsString]) {
    let choice = match said_colour(words) {
        Colour::Auto => ColorChoice::Auto,
        Colour::Always => ColorChoice::Always,
        Colour::Never => ColorChoice::Never,
    };
    choice.write_global();
}

/// What `--color` says, also where the rest can't be parsed.
fn said_colour(words: &[OsString]) -> Colour {
    let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    let joined = words.iter().find_map(|word| word.strip_prefix("--color="));
    let apart = words.iter().position(|word| *word == "--color").and_then(|at| words.get(at + 1).copied());
    match joined.or(apart) {
        Some("always") => Colour::Always,
        Some("never") => Colour::Never,
        _ => Colour::Auto,
    }
}

/// The parser with its groups, and with the name under which it was called.
pub(super) fn dressed(command: clap::Command) -> clap::Command {
    let (heading, groups) = (command.get_styles().get_header(), groups(&command));
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}{heading}Options:{heading:#}\n{{options}}{{after-help}}"
    );
    let command = command.max_term_width(HELP_WIDTH).help_template(template);
    if plugin::is_kubectl() { command.bin_name(plugin::CALLED) } else { command }
}

/// The commands by their groups, each with what it does.
fn groups(command: &clap::Command) -> String {
    let known: Vec<&clap::Command> = command.get_subcommands().filter(|it| !it.is_hide_set()).collect();
    let is_grouped = |name: &str| GROUPS.iter().any(|(_, names)| names.contains(&name));
    let rest = known.iter().map(|it| it.get_name()).filter(|name| !is_grouped(name)).chain(["help"]);
    let groups = GROUPS.iter().map(|(title, names)| (*title, names.to_vec())).chain([("More", rest.collect())]);
    let width = known.iter().map(|it| it.get_name().len()).max().unwrap_or_default();
    let heading = command.get_styles().get_header();
    let name_style = command.get_styles().get_literal();
    let mut told = String::new();
    for (title, names) in groups {
        told.push_str(&format!("{heading}{title}:{heading:#}\n"));
        for name in names {
            let about = match known.iter().find(|it| it.get_name() == name) {
                Some(found) => found.get_about().map(ToString::to_string).unwrap_or_default(),
                None if name == "help" => "Print the help of a command".to_owned(),
                None => continue,
            };
            told.push_str(&format!("  {name_style}{name:<width$}{name_style:#}  {about}\n"));
        }
        told.push('\n');
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_is_found_wherever_it_stands() {
        let said = |words: &[&str]| said_colour(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(said(&["job-chief", "status", "--color", "never"]), Colour::Never);
        assert_eq!(said(&["job-chief", "--color=always", "nonsense"]), Colour::Always);
        assert_eq!(said(&["job-chief", "--color"]), Colour::Auto);
    }
}
