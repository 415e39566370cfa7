//! `billfold`: the server and its commands.

mod cli;

use std::{alloc::System, process::ExitCode};

use zeroizing_alloc::ZeroAlloc;

/// Wipes what is freed, whoever freed it: keys and secrets leave nothing behind on the heap.
#[global_allocator]
static WIPING: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    if let Err(error) = keep_memory_private() {
        cli::complain(&anyhow::Error::new(error).context("forbidding core dumps"));
        return ExitCode::FAILURE;
    }
    let command = match cli::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(told) => {
            // Standard error may be closed; then nobody listens anyway.
            let _ = told.print();
            // Help and version were asked for; anything else is a wrong command line.
            return ExitCode::from(u8::from(told.use_stderr()));
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(cli::run(command));
            // A task that hangs on a dead connection must not keep the process.
            runtime.shutdown_timeout(std::time::Duration::from_secs(1));
            outcome
        }
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            cli::complain(&error);
            cli::code(&error)
        }
    }
}

/// No core dump and no debugger of the same user sees the keys in this process's memory.
fn keep_memory_private() -> std::io::Result<()> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    )?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}
