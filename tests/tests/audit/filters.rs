//! Every filter alone and with every other, against the whole record read line by line.

use billfold_tests::wallet::{Backend, Wallet};
use serde_json::Value;

use super::story::{act, page, pages, place, prepare, record, tighten};

/// A filter, and which lines of the record it is to find.
struct Filter {
    query: String,
    finds: Box<dyn Fn(&Value) -> bool>,
}

fn filter(query: impl Into<String>, finds: impl Fn(&Value) -> bool + 'static) -> Filter {
    Filter {
        query: query.into(),
        finds: Box::new(finds),
    }
}

/// Whether a line has this text in a field.
fn is(field: &'static str, value: &str) -> impl Fn(&Value) -> bool + 'static {
    let value = value.to_owned();
    move |line| line[field] == value.as_str()
}

const LISTS: [&str; 4] = ["list", "scan", "list-details", "scan-details"];

/// Whether a line is about something in a folder.
fn is_in(mount: &'static str, folder: &'static str) -> impl Fn(&Value) -> bool + 'static {
    move |line| {
        let of_place = line
            .get("record")
            .is_some_and(|_| line["operation"] != "read-audit")
            || LISTS.iter().any(|list| line["operation"] == *list);
        let path = line["path"].as_str();
        line["mount_path"] == mount
            && (folder.is_empty() || of_place && path.is_some_and(|path| path.starts_with(folder)))
    }
}

/// The value of a field in the first line that has it there.
fn first<'a>(lines: &'a [Value], field: &str, fits: impl Fn(&Value) -> bool) -> &'a str {
    let mut lines = lines.iter().filter(|line| fits(line));
    lines.find_map(|line| line[field].as_str()).unwrap()
}

/// All filters there are, with two values where one would not tell much.
fn filters(lines: &[Value], robot: &str) -> Vec<Filter> {
    let of_x = |line: &Value| line["path"] == "team/x" && line["mount_path"] == "secret/";
    let record = first(lines, "record", of_x).to_owned();
    let principal = first(lines, "principal", |line| line["token"] == robot).to_owned();
    let middle = lines[lines.len() / 2]["time"].as_str().unwrap().to_owned();
    let secret = |line: &Value, path: &str| {
        line.get("record").is_some() && line["mount_path"] == "secret/" && line["path"] == path
    };
    let (start, end) = (middle.clone(), middle.clone());
    vec![
        filter("credential=team/x", move |line| secret(line, "team/x")),
        filter("credential=team/none", move |line| {
            secret(line, "team/none")
        }),
        filter("credential=team/", is_in("secret/", "team/")),
        filter("path=secret/team/sub/", is_in("secret/", "team/sub/")),
        filter("path=apps/", is_in("apps/", "")),
        filter("path=apps/team/x", |line| {
            line["mount_path"] == "apps/" && line["path"] == "team/x"
        }),
        filter(format!("record={record}"), is("record", &record)),
        filter(
            format!("principal={principal}"),
            is("principal", &principal),
        ),
        filter(format!("token={robot}"), is("token", robot)),
        filter(format!("worker={robot}"), is("token", robot)),
        filter(format!("worker={principal}"), is("principal", &principal)),
        filter("execution=nightly", is("execution", "nightly")),
        filter("execution=weekly", is("execution", "weekly")),
        filter(
            "event=ResolutionRequested",
            is("event", "ResolutionRequested"),
        ),
        filter("event=CredentialWritten", is("event", "CredentialWritten")),
        filter("operation=read-data", is("operation", "read-data")),
        filter("operation=list", is("operation", "list")),
        filter("outcome=permitted", is("verdict", "permitted")),
        filter("outcome=denied", is("verdict", "denied")),
        filter("outcome=absent", is("verdict", "absent")),
        filter("outcome=deleted", is("verdict", "deleted")),
        filter(format!("from={middle}"), move |line| {
            line["time"].as_str() >= Some(&start)
        }),
        filter(format!("to={middle}"), move |line| {
            line["time"].as_str() < Some(&end)
        }),
    ]
}

/// What a row says, in the words of the record.
fn assert_same(row: &Value, line: &Value) {
    for (of_row, of_line) in [
        ("event", "event"),
        ("occurred_at", "time"),
        ("operation", "operation"),
        ("outcome", "verdict"),
        ("policies", "policies"),
        ("record", "record"),
        ("actor", "actor"),
        ("principal", "principal"),
        ("token", "token"),
        ("request", "request"),
        ("execution", "execution"),
        ("client", "client"),
        ("asked_version", "asked_version"),
    ] {
        assert_eq!(row[of_row], line[of_line], "{of_row}: {row} {line}");
    }
    if line["event"] == "ResolutionRequested" {
        assert_eq!(row["version"], line["version"], "{row} {line}");
        let path = if row["credential"].is_null() {
            "path"
        } else {
            "credential"
        };
        assert_eq!(row[path], line["path"], "{row} {line}");
        assert_eq!(row["mount"], line["mount_path"], "{row} {line}");
    }
}

pub async fn inv03_every_filter_finds_what_the_record_says(backend: Backend) {
    let mut wallet = Wallet::serve(backend).await;
    let cast = prepare(&wallet.node).await;
    act(&wallet.node, &cast).await;
    // What was judged before the end of a process is judged the same after it.
    wallet.node.kill9();
    wallet.node.restart().await.unwrap();
    act(&wallet.node, &cast).await;
    tighten(&wallet.node, &cast).await;

    let lines = record(&wallet).await;
    let end = lines.last().unwrap()["sequence"].as_u64().unwrap();
    let (rows, _) = page(&wallet.node, "limit=10000").await;
    // What the node does by itself, and the question, come behind.
    assert_eq!(rows.last().unwrap()["operation"], "read-audit");
    assert!(rows.len() > lines.len());
    for (row, line) in rows.iter().zip(&lines) {
        assert_eq!(place(row), place(line));
        assert_same(row, line);
    }
    let named = |name: &str| {
        rows.iter()
            .filter(|row| row["display_name"] == name)
            .count()
    };
    assert!(named("token-robot") > 20 && named("root") > 20);
    // It was revoked: what it was called went with it.
    assert_eq!(named("token-intern"), 0);

    let filters = filters(&lines, &cast.robot.accessor);
    for (at, one) in filters.iter().enumerate() {
        for other in &filters[at..] {
            let name = |filter: &Filter| filter.query.split('=').next().unwrap().to_owned();
            let of_what =
                |filter: &Filter| ["credential", "path", "record"].contains(&name(filter).as_str());
            let same = std::ptr::eq(one, other);
            if !same && (name(one) == name(other) || of_what(one) && of_what(other)) {
                continue;
            }
            let query = match same {
                true => one.query.clone(),
                false => format!("{}&{}", one.query, other.query),
            };
            let wanted: Vec<_> = lines
                .iter()
                .filter(|line| (one.finds)(line) && (other.finds)(line))
                .map(place)
                .collect();
            if same {
                assert!(!wanted.is_empty(), "{query} finds nothing");
            }
            for (order, limit) in [("oldest", 10_000), ("newest", 40)] {
                let rows = pages(&wallet.node, &format!("{query}&order={order}"), limit).await;
                let mut found: Vec<_> = rows.iter().map(place).collect();
                found.retain(|(sequence, _)| *sequence <= end);
                if order == "newest" {
                    found.reverse();
                }
                assert_eq!(found, wanted, "{query} {order}");
            }
        }
    }
    wallet.assert_sound().await;
}

/// The rows of a folder, each a page of its own: no page is empty, and none tells a place but its own.
async fn one_by_one(wallet: &Wallet, order: &str, folder: &[Value]) {
    let to = format!(
        "to={}",
        folder.last().unwrap()["occurred_at"].as_str().unwrap()
    );
    let (mut places, mut after) = (Vec::new(), String::new());
    loop {
        let query = format!("path=secret/team/&order={order}&{to}&limit=1{after}");
        let (rows, next) = page(&wallet.node, &query).await;
        let [row] = &rows[..] else {
            panic!("a page of {} rows behind {after}", rows.len());
        };
        places.push(place(row));
        let Some(next) = next else { break };
        assert_eq!(next, row["audit_id"], "{query}");
        after = format!("&after={next}");
    }
    if order == "newest" {
        places.reverse();
    }
    let told: Vec<_> = folder.iter().map(place).collect();
    assert!(places.len() > 10 && told.starts_with(&places));
}

/// An index that is made anew comes to the same verdicts; what is erased meanwhile is told by neither.
pub async fn inv07_what_is_erased_is_found_by_no_folder(backend: Backend) {
    let mut wallet = Wallet::serve(backend).await;
    let cast = prepare(&wallet.node).await;
    act(&wallet.node, &cast).await;
    tighten(&wallet.node, &cast).await;
    let (before, _) = page(&wallet.node, "limit=10000").await;
    for remade in [false, true] {
        if remade {
            wallet.node.stop().await.unwrap();
            std::fs::remove_dir_all(wallet.node.data_dir().join("audit")).unwrap();
            wallet.node.restart().await.unwrap();
            let (after, _) = page(&wallet.node, "limit=10000").await;
            assert_eq!(after[..before.len()], before);
        }
        let (of_x, _) = page(&wallet.node, "path=secret/team/x").await;
        assert!(of_x.iter().any(|row| row["outcome"] == "denied"));
    }

    let erased = serde_json::json!({ "path": "secret/team/x", "reason": "they left us" });
    let reply = wallet
        .node
        .root("POST", "/api/internal/wallet/erase", erased)
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    for remade in [false, true] {
        if remade {
            wallet.node.stop().await.unwrap();
            std::fs::remove_dir_all(wallet.node.data_dir().join("audit")).unwrap();
            wallet.node.restart().await.unwrap();
        }
        // Who knows the path finds that it was there, and who read it.
        let (of_x, _) = page(&wallet.node, "path=secret/team/x&operation=read-data").await;
        assert_eq!(of_x.len(), 7, "{of_x:#?}");
        assert!(of_x.iter().all(|row| row["credential"].is_null()));
        for row in &of_x {
            let was = before.iter().find(|was| place(was) == place(row)).unwrap();
            match remade {
                false => assert_eq!(row["outcome"], was["outcome"]),
                // What it was permitted by spoke of its path, which nobody knows any more.
                true => assert_eq!(row["outcome"], "unknown"),
            }
        }
        let (folder, _) = page(&wallet.node, "path=secret/team/").await;
        let record = &of_x[0]["record"];
        assert!(folder.len() > 10 && folder.iter().all(|row| row["record"] != *record));
        for order in ["oldest", "newest"] {
            one_by_one(&wallet, order, &folder).await;
        }
    }
    wallet.assert_sound().await;
}
