//! The `billfold` program that is measured: a release build.

use std::{path::Path, process::Command};

use billfold_tests::tools;

/// Builds the program, unless `BILLFOLD_BIN` names one. What must be said of a run whose figures mean little.
pub(crate) fn build() -> String {
    if std::env::var_os("BILLFOLD_BIN").is_none() && !cfg!(debug_assertions) {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let mut command = Command::new(cargo);
        command.args(["build", "--release", "-p", "billfold"]);
        command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
        let status = command.status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "Billfold does not build"
        );
    }
    let mut warnings = String::new();
    let program = tools::billfold_bin();
    let folder = program.canonicalize().unwrap();
    if !folder
        .components()
        .any(|part| part.as_os_str() == "release")
    {
        warnings.push_str("**Billfold is no release build here: its figures mean nothing.**\n\n");
    }
    if cfg!(debug_assertions) {
        warnings.push_str("**The load comes from a debug build: all figures are too low.**\n\n");
    }
    eprint!("{warnings}");
    warnings
}
