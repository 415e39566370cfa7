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
    spent(pid).0
}

/// What a process has taken, and what those have that it started and that have ended.
fn spent(pid: u32) -> (Duration, Duration) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name, in brackets, may hold spaces.
    let (_, after) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks = |field: usize| fields[field].parse::<f64>().unwrap();
    let time = |field: usize| Duration::from_secs_f64((ticks(field) + ticks(field + 1)) / TICKS);
    (time(11), time(13))
}

/// Tells what others take of the cores meanwhile: figures mean little when it is much.
pub(crate) struct Others {
    began: Instant,
    all: Duration,
    own: Duration,
}

impl Others {
    pub(crate) fn watch() -> Self {
        Self {
            began: Instant::now(),
            all: machine(),
            own: own(),
        }
    }

    /// How many cores they kept busy. What was started here must have ended.
    pub(crate) fn cores(&self) -> f64 {
        let (all, own) = (machine() - self.all, own() - self.own);
        all.saturating_sub(own).as_secs_f64() / self.began.elapsed().as_secs_f64()
    }
}

fn own() -> Duration {
    let (own, started) = spent(std::process::id());
    own + started
}

/// The processor time of all that runs on the machine.
fn machine() -> Duration {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    let first = stat.lines().next().unwrap();
    let fields: Vec<&str> = first.split_whitespace().collect();
    // Of users, nice ones, the system, interrupts and soft ones; what is idle or waits is left out.
    let ticks = [1, 2, 3, 6, 7].map(|field| fields[field].parse::<f64>().unwrap());
    Duration::from_secs_f64(ticks.iter().sum::<f64>() / TICKS)
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
