//! `billfold completions` and `billfold man`.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, output};

#[derive(Args)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

#[derive(Args)]
pub(crate) struct Man {
    /// The folder that the pages go into; made if it is not there
    folder: PathBuf,
}

/// Prints what a shell needs to complete the commands.
pub(super) fn completions(completions: &Completions) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(
        completions.shell,
        &mut Cli::command(),
        "billfold",
        &mut script,
    );
    output::write(&script)
}

/// Writes a manual page for each command.
pub(super) fn man(man: &Man) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(&man.folder)?;
        clap_mangen::generate_to(Cli::command(), &man.folder)
    };
    write().with_context(|| format!("writing manual pages to {}", man.folder.display()))
}
