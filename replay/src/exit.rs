//! How the process ends: what a script can go by.

use billfold_replay::Error;

/// Sound, and done.
pub(crate) const SOUND: u8 = 0;
/// The command line's fault.
pub(crate) const USAGE: u8 = 1;
/// The log, the key store, the keys or this machine's fault.
pub(crate) const UNREACHABLE: u8 = 2;
/// What was read is not what a wallet's nodes wrote.
pub(crate) const BROKEN: u8 = 3;

/// How a failure ends the process.
pub(crate) const fn code_of(error: &Error) -> u8 {
    match error {
        Error::Usage(_) => USAGE,
        Error::Broken(_) => BROKEN,
        _ => UNREACHABLE,
    }
}
