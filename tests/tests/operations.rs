//! Every command of `docs/operations.md` is run, section by section, and answers what the page says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::{fmt::Write as _, fs, path::Path, process::Stdio, time::Duration};

use billfold_tests::{billfold::ended_within, tools};
use tempfile::TempDir;

/// Longer than a section takes on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(180);

/// What stands before each command's output.
const MARK: &str = "@@@ command";

/// A command, and what it is to answer.
struct Step {
    command: String,
    output: String,
}

/// A section of the page: what stands in `billfold.toml`, and its commands.
#[derive(Default)]
struct Section {
    title: String,
    configuration: String,
    steps: Vec<Step>,
}

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md");
    fs::read_to_string(path).unwrap()
}

fn sections(page: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut block = None;
    for line in page.lines() {
        match (block, line) {
            (None, _) if line.starts_with("## ") => sections.push(Section {
                title: line[3..].to_owned(),
                ..Section::default()
            }),
            (None, "```toml") => block = Some("toml"),
            (None, "```console") => block = Some("console"),
            (Some(_), "```") => block = None,
            (Some("toml"), _) => {
                let section = sections.last_mut().unwrap();
                section.configuration.push_str(line);
                section.configuration.push('\n');
            }
            (Some(_), _) => {
                let steps = &mut sections.last_mut().unwrap().steps;
                match line.strip_prefix("$ ") {
                    Some(command) => steps.push(Step {
                        command: command.to_owned(),
                        output: String::new(),
                    }),
                    None => {
                        let step = steps.last_mut().expect("a command comes first");
                        step.output.push_str(line);
                        step.output.push('\n');
                    }
                }
            }
            (None, _) => {}
        }
    }
    sections
}

/// The commands as one script, each with a mark before what it says.
fn script(steps: &[Step], address: &str) -> String {
    let mut script = String::from("trap 'kill $(jobs -p) 2>/dev/null' EXIT\n");
    for step in steps {
        writeln!(script, "echo '{MARK}'").unwrap();
        match step.command.strip_suffix(" &") {
            None => writeln!(script, "{{ {}\n}} 2>&1", step.command).unwrap(),
            Some(server) => {
                writeln!(script, "{server} >> server.log 2>&1 &").unwrap();
                let port = match server.split_once("-dev-listen-address=") {
                    Some((_, listen)) => listen.to_owned(),
                    None => address.to_owned(),
                };
                let (host, port) = port.split_once(':').unwrap();
                // A server that answers anything at all is up.
                writeln!(
                    script,
                    "for try in $(seq 600); do (exec 3<>/dev/tcp/{host}/{port}) 2>/dev/null && break; sleep 0.1; done"
                )
                .unwrap();
            }
        }
    }
    script
}

/// Whether a text is as the page says, where `…` stands for anything.
fn is_like(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut ended = pattern == first && rest.is_empty();
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            ended = rest.ends_with(part);
        } else {
            let Some(at) = rest.find(part) else {
                return false;
            };
            rest = &rest[at + part.len()..];
        }
    }
    ended
}

#[test]
fn a_pattern_fits_what_it_says() {
    assert!(is_like("a b c", "a…c") && is_like("a", "a") && is_like("abc", "…") && is_like("", ""));
    assert!(!is_like("a b", "a…c") && !is_like("ab", "a") && !is_like("b", "a…"));
}

async fn run(section: Section) {
    let folder = TempDir::with_prefix("operations-").unwrap();
    let [address, other] = [(), ()].map(|()| format!("127.0.0.1:{}", tools::free_port()));
    let here = |text: &str| {
        text.replace("127.0.0.1:8200", &address)
            .replace("127.0.0.1:8300", &other)
    };
    fs::write(
        folder.path().join("billfold.toml"),
        here(&section.configuration),
    )
    .unwrap();
    let steps: Vec<Step> = section
        .steps
        .iter()
        .map(|step| Step {
            command: here(&step.command),
            output: here(&step.output),
        })
        .collect();
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    for (name, program) in [
        ("billfold", tools::billfold_bin()),
        ("billfold-replay", tools::replay_bin()),
        ("bao", tools::bao()),
    ] {
        std::os::unix::fs::symlink(program, bin.join(name)).unwrap();
    }
    let mut command = std::process::Command::new("bash");
    command
        .args(["-c", &script(&steps, &address)])
        .current_dir(folder.path())
        .env_clear()
        .env("HOME", folder.path())
        .env("NO_PROXY", "127.0.0.1")
        .env(
            "PATH",
            format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display()),
        )
        .stdin(Stdio::null());
    let ended = ended_within(PATIENCE, command).await.unwrap();
    let log = fs::read_to_string(folder.path().join("server.log")).unwrap_or_default();
    let mark = format!("{MARK}\n");
    let outputs: Vec<&str> = ended.stdout.split(&mark).skip(1).collect();
    assert_eq!(
        outputs.len(),
        steps.len(),
        "{}: {}\n{log}",
        section.title,
        ended.stdout
    );
    for (step, output) in steps.iter().zip(outputs) {
        let (found, expected) = (output.trim_end(), step.output.trim_end());
        assert!(
            is_like(found, expected),
            "{}: $ {}\nsays\n{found}\nand the page has\n{expected}\n\n{log}",
            section.title,
            step.command
        );
    }
}

/// Runs the section of this title, with the configuration of another if it has none of its own.
async fn section(title: &str, configured_as: &str) {
    let mut all = sections(&page());
    let of = |all: &[Section], title: &str| all.iter().position(|section| section.title == title);
    let configuration = all[of(&all, configured_as).unwrap()].configuration.clone();
    let mut section = all.swap_remove(of(&all, title).unwrap());
    if section.configuration.is_empty() {
        section.configuration = configuration;
    }
    assert!(!section.steps.is_empty());
    run(section).await;
}

macro_rules! the_sections {
    ($($test:ident: $title:literal as $configured:literal,)+) => {
        $(
            #[tokio::test]
            async fn $test() {
                section($title, $configured).await;
            }
        )+

        #[test]
        fn every_section_is_run() {
            let titles: Vec<String> = sections(&page()).into_iter().map(|s| s.title).collect();
            assert_eq!(titles, [$($title),+]);
        }
    };
}

the_sections! {
    begin_and_unseal: "Begin and unseal" as "Begin and unseal",
    auto_unseal: "Auto-unseal" as "Auto-unseal",
    rotate: "Rotate" as "Rotate",
    retire: "Retire" as "Begin and unseal",
    change_the_key_manager: "Change the key manager" as "Change the key manager",
    erase_and_hold: "Erase and hold" as "Rotate",
    restore: "Restore" as "Rotate",
    when_a_key_is_lost_or_known: "When a key is lost or known" as "Rotate",
}
