//! Places where a test may end the process, as a crash would: between any two steps of the work on
//! the wallet's keys.

/// Between the steps of destroying keys.
pub const SWEEPING: [&str; 6] = [
    "keys given up",
    "pages closed",
    "page removed",
    "page written",
    "older pages erased",
    "destruction confirmed",
];

/// Between the steps of a rotation.
pub const ROTATING: [&str; 2] = ["KEK stored", "epoch stored"];

/// Between the steps of a rewrap.
pub const REWRAPPING: [&str; 6] = [
    "older keyrings erased",
    "pages closed",
    "page removed",
    "page written",
    "older pages erased",
    "rewrap confirmed",
];

/// Between the steps of destroying retired KEK versions.
pub const RETIRING: [&str; 3] = [
    "KEK taken out",
    "older keyrings erased",
    "KEK destruction confirmed",
];

/// Between the steps of replacing an unseal generation.
pub const REPLACING: [&str; 2] = ["generation stored", "older generations erased"];

/// Between the steps of changing the key that signs checkpoints.
pub const CHANGING: [&str; 2] = ["checkpoint key changed", "checkpoint key stored"];

/// Ends the process here if a test asked for it: `BILLFOLD_FAULT` names the place, or with `@` before
/// it a file that does. It can only stop a node, which anyone who sets its environment can anyway.
pub(crate) fn fault_point(at: &str) {
    let all = [
        &SWEEPING[..],
        &ROTATING,
        &REWRAPPING,
        &RETIRING,
        &REPLACING,
        &CHANGING,
    ];
    let mut known = all.into_iter();
    debug_assert!(known.any(|places| places.contains(&at)), "{at}");
    let Ok(wanted) = std::env::var("BILLFOLD_FAULT") else {
        return;
    };
    let wanted = match wanted.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file).unwrap_or_default(),
        None => wanted,
    };
    if wanted == at {
        tracing::error!(at, "ending the process, as BILLFOLD_FAULT asks");
        std::process::abort();
    }
}
