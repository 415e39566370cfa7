//! As much of Markdown as the documentation is checked by.

use std::{
    collections::HashMap,
    fs,
    path::{Component, Path, PathBuf},
};

/// The lines of a text and whether each is in a block of code. The fences belong to it.
fn lines(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut in_code = false;
    text.lines().map(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        let was_code = in_code;
        in_code ^= is_fence;
        (line, was_code || is_fence)
    })
}

/// What stands under a heading, up to the next one of its level or above.
pub(crate) fn section(text: &str, heading: &str) -> String {
    let level = |line: &str| line.len() - line.trim_start_matches('#').len();
    let mut inside = None;
    let mut found = Vec::new();
    for (line, in_code) in lines(text) {
        let is_heading = !in_code && line.starts_with('#');
        match inside {
            None if is_heading && line.trim_start_matches('#').trim() == heading => {
                inside = Some(level(line));
            }
            Some(above) if is_heading && level(line) <= above => break,
            Some(_) => found.push(line),
            None => {}
        }
    }
    assert!(inside.is_some(), "there is no heading {heading:?}");
    found.join("\n")
}

/// The blocks of code in a text.
pub(crate) fn blocks(text: &str) -> Vec<String> {
    let mut blocks: Vec<Vec<&str>> = Vec::new();
    let mut before = false;
    for (line, in_code) in lines(text) {
        let is_fence = line.trim_start().starts_with("```");
        if in_code && is_fence && !before {
            blocks.push(Vec::new());
        } else if in_code && !is_fence {
            blocks.last_mut().unwrap().push(line);
        }
        before = in_code && !(is_fence && before);
    }
    blocks.iter().map(|lines| lines.join("\n")).collect()
}

/// The cells of the rows of all tables in a text, the headings among them.
pub(crate) fn rows(text: &str) -> Vec<Vec<String>> {
    let is_row = |line: &str| line.starts_with('|') && !line.starts_with("| ---");
    let rows = lines(text).filter(|(line, in_code)| !in_code && is_row(line));
    rows.map(|(line, _)| {
        let cells = line.trim().trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    })
    .collect()
}

/// The targets of the links in a text. What stands in code is no link.
pub(crate) fn links(text: &str) -> Vec<String> {
    let prose: Vec<_> = lines(text)
        .filter(|(_, in_code)| !in_code)
        .map(|(line, _)| line)
        .collect();
    // A span of code may go over the end of a line.
    let prose: String = prose.join("\n").split('`').step_by(2).collect();
    let inline = prose
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.split_whitespace().next().unwrap_or_default());
    let defined = prose.lines().filter_map(|line| {
        let (_, target) = line.strip_prefix('[')?.split_once("]: ")?;
        target.split_whitespace().next()
    });
    inline.chain(defined).map(str::to_owned).collect()
}

/// The links of a file that lead nowhere in the tree under `root`. Links out of it are not looked at.
pub(crate) fn broken_links(root: &Path, file: &str, text: &str) -> Vec<String> {
    let is_outside = |link: &String| link.contains("://") || link.starts_with("mailto:");
    links(text)
        .into_iter()
        .filter(|link| !is_outside(link) && !leads_somewhere(root, file, text, link))
        .collect()
}

fn leads_somewhere(root: &Path, file: &str, text: &str, link: &str) -> bool {
    let (path, anchor) = match link.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (link, None),
    };
    if path.is_empty() {
        return anchor.is_some_and(|anchor| anchors(text).contains(&anchor.to_owned()));
    }
    let Some(target) = resolve(file, path).map(|target| root.join(target)) else {
        return false;
    };
    match anchor {
        None => target.exists(),
        Some(anchor) => fs::read_to_string(&target)
            .is_ok_and(|text| anchors(&text).contains(&anchor.to_owned())),
    }
}

/// A path beside a file, from the root; none when it leads out of the tree.
fn resolve(file: &str, path: &str) -> Option<PathBuf> {
    let mut target = Path::new(file).parent()?.to_owned();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => target.push(name),
            Component::ParentDir => target.pop().then_some(())?,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(target)
}

/// The anchors of a text's headings, as GitHub makes them.
fn anchors(text: &str) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let headings = lines(text).filter(|(line, in_code)| !in_code && line.starts_with('#'));
    headings
        .map(|(line, _)| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = |c: &char| c.is_alphanumeric() || matches!(c, '-' | '_' | ' ');
            let slug: String = title.chars().filter(kept).collect();
            let slug = slug.replace(' ', "-");
            let before = seen.entry(slug.clone()).or_default();
            *before += 1;
            match *before {
                1 => slug,
                again => format!("{slug}-{}", again - 1),
            }
        })
        .collect()
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = "# One: `a` thing\n\n## Twice\n\n## Twice\n\n```\n# Not a heading\n[x](no-block)\n```\n\
        [a](README.md) [b](adr/README.md#decisions) [c](#one-a-thing) [d](#twice-1) [`e`](../core/src)\n\
        `[f](no-code)` [g](no-such.md) [h](#not-a-heading) [i](#twice-2) [j](../../outside.md)\n\
        [k](adr/README.md#no-such) [l](/etc/hosts) [m](https://example.org/) [n][o]\n\n[o]: no-such-either\n";
    let broken = broken_links(root, "docs/example.md", text);
    let expected = [
        "no-such.md",
        "#not-a-heading",
        "#twice-2",
        "../../outside.md",
        "adr/README.md#no-such",
        "/etc/hosts",
        "no-such-either",
    ];
    assert_eq!(broken, expected);
}

#[test]
fn sections_blocks_and_rows_are_found() {
    let text = "# A\n## B\n| x | y |\n| --- | --- |\n| `1` | 2 |\n### C\n```sh\none\ntwo\n```\n```\n# three\n```\n## D\nno\n";
    let section = section(text, "B");
    assert!(section.contains("### C") && !section.contains("no"));
    assert_eq!(blocks(&section), ["one\ntwo", "# three"]);
    assert_eq!(rows(&section), [["x", "y"], ["`1`", "2"]]);
}
