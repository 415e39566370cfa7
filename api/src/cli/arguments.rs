//! Long options with one dash, as users of `bao` and `vault` type them.

use std::{collections::BTreeSet, ffi::OsString};

use clap::Command;

/// The same arguments with two dashes before each long option of the program.
pub(crate) fn normal(
    command: &Command,
    arguments: impl IntoIterator<Item = OsString>,
) -> Vec<OsString> {
    let mut known = BTreeSet::new();
    gather(command, &mut known);
    let mut rest = false;
    let normal = |argument: OsString| {
        rest |= argument == "--";
        let name = argument.to_str().and_then(|text| text.strip_prefix('-'));
        let name = name.map(|text| text.split_once('=').map_or(text, |(name, _)| name));
        if rest || !name.is_some_and(|name| known.contains(name)) {
            return argument;
        }
        let mut twice = OsString::from("-");
        twice.push(argument);
        twice
    };
    arguments.into_iter().map(normal).collect()
}

fn gather(command: &Command, known: &mut BTreeSet<String>) {
    let long = command.get_arguments().filter_map(clap::Arg::get_long);
    known.extend(long.map(str::to_owned));
    for command in command.get_subcommands() {
        gather(command, known);
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn one_dash_is_as_good_as_two() {
        let given = [
            "x", "-field=a", "-version", "1", "-o", "-", "k=-", "-nope", "--", "-field",
        ];
        let command = crate::cli::Cli::command();
        let normal = normal(&command, given.map(OsString::from));
        assert_eq!(
            normal,
            [
                "x",
                "--field=a",
                "--version",
                "1",
                "-o",
                "-",
                "k=-",
                "-nope",
                "--",
                "-field"
            ]
        );
    }
}
