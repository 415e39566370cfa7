//! What processes and folders take: memory, processor time, blocks on disk.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How many ticks Linux counts in a second of processor time.
const TICKS: f64 = 100.0;

/// The resident memory of a process, in bytes.
pub(crate) fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.unwrap().trim().trim_end_matches(" kB").trim();
    kibibytes.parse::<u64>().unwrap() << 10
}

/// The processor time that a process has taken, of its user's and the system's.
pub(crate) fn processor(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name, in brackets, may hold spaces.
    let (_, after) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks = |field: usize| fields[field].parse::<f64>().unwrap();
    Duration::from_secs_f64((ticks(11) + ticks(12)) / TICKS)
}

/// What the file system has given to all files below some folders, in bytes.
pub(crate) fn on_disk(folders: &[PathBuf]) -> u64 {
    folders.iter().map(|folder| below(folder)).sum()
}

fn below(folder: &Path) -> u64 {
    // A server may delete a file while we look.
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => below(&entry.path()),
        Ok(found) => found.blocks() * 512,
        Err(_) => 0,
    });
    sizes.sum()
}

/// How long half of the appends of 4 KiB take until they are on disk.
pub(crate) fn sync() -> Duration {
    let mut file = tempfile::tempfile().unwrap();
    let mut took: Vec<Duration> = (0..200)
        .map(|_| {
            let began = Instant::now();
            file.write_all(&[7; 4096]).unwrap();
            file.sync_data().unwrap();
            began.elapsed()
        })
        .collect();
    took.sort_unstable();
    took[took.len() / 2]
}
