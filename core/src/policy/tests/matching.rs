//! Which pattern decides, and how policies go together. Every answer is what OpenBao 2.7 gives.

use super::*;

/// One policy that grants something else on each pattern; what the path is granted tells which
/// pattern decided.
fn decided(patterns: &[&str], path: &str) -> usize {
    const GRANTS: [&str; 4] = ["create", "delete", "list", "patch"];
    let text: String = patterns
        .iter()
        .zip(GRANTS)
        .map(|(pattern, grant)| format!("path \"{pattern}\" {{ capabilities = [\"{grant}\"] }}\n"))
        .collect();
    let shown = names(&acl(&[&text]), path);
    GRANTS.iter().position(|grant| *grant == shown).unwrap_or(9)
}

#[test]
fn the_pattern_of_the_highest_rank_decides() {
    for (path, patterns) in [
        ("a/b", &["a/b", "a/+", "a/*", "*"][..]),
        ("a/b/c", &["a/b/*", "a/*", "+/b/c", "*"]),
        // The later the first wildcard stands, the better.
        (
            "foo/bar/x/baz",
            &["foo/bar/+/baz", "foo/+/bar/baz", "foo/+/+/baz"],
        ),
        ("foo/abc", &["foo/a*", "foo/+"]),
        // At the same place: no prefix before a prefix.
        ("foo/x", &["foo/+", "foo/*"]),
        ("foo/x/bar", &["foo/+/bar", "foo/+/ba*"]),
        // Then fewer segments that may be anything, then the longer one.
        ("a/x/b/c", &["a/+/b/c", "a/+/+/c", "a/+/+/+"]),
        ("a/x/bcd", &["a/+/bc*", "a/+/b*", "a/+/*"]),
        ("a/x/!", &["a/+/!", "a/+/+"]),
        ("a/x/!!/c", &["a/+/!!/+", "a/+/+/c"]),
        // Last the one that sorts later: a plus sorts before letters.
        ("a/x/b/c", &["a/+/b/+", "a/+/+/c"]),
    ] {
        assert_eq!(decided(patterns, path), 0, "{path} {patterns:?}");
        let mut turned = patterns.to_vec();
        turned.reverse();
        assert_eq!(
            decided(&turned, path),
            turned.len() - 1,
            "{path} {turned:?}"
        );
    }
}

#[test]
fn wildcards_match_what_they_stand_for_and_no_more() {
    for (pattern, matching, others) in [
        ("a*", &["a", "ab", "a/b"][..], &["b", "ba", ""][..]),
        ("a/*", &["a/", "a/b", "a/b/c"], &["ab"]),
        ("a*b", &["a*b"], &["ab", "axb"]),
        ("+", &["a", "é"], &["a/b"]),
        ("+/b", &["a/b", "/b/b"], &["b", "a/b/c", "a/bb"]),
        ("a/+/c", &["a/b/c", "a//c"], &["a/c", "a/b/c/d", "a/b/d"]),
        ("a/+/c*", &["a/b/c", "a/b/cd", "a/b/c/d"], &["a/b", "a/b/d"]),
        ("a/+/*", &["a/b/", "a/b/c", "a/b/c/d"], &["a/b", "b/b/c"]),
        // A plus that is not a whole segment is a plus.
        ("a/+b", &["a/+b"], &["a/b", "a/xb"]),
        ("+b", &["+b"], &["b", "xb"]),
        ("a+", &["a+"], &["a", "ab"]),
        ("é*", &["é", "éa"], &["e"]),
        ("", &[""], &["a"]),
    ] {
        let acl = acl(&[&format!(
            "path \"{pattern}\" {{ capabilities = [\"read\"] }}"
        )]);
        let reads = |path: &str| acl.authorise(&request(path, Operation::Read)).permitted;
        for path in matching {
            assert!(reads(path), "{pattern} should match {path}");
        }
        for path in others {
            assert!(!reads(path), "{pattern} should not match {path}");
        }
    }
}

#[test]
fn one_slash_before_a_pattern_and_all_before_a_path_are_dropped() {
    let acl = acl(&[r#"path "/a" { capabilities = ["read"] }"#]);
    assert_eq!(names(&acl, "a"), "read");
    assert_eq!(names(&acl, "///a"), "read");
    let never = super::acl(&[r#"path "//a" { capabilities = ["read"] }"#]);
    assert_eq!(names(&never, "//a"), "deny");
}

#[test]
fn a_folder_is_found_with_its_slash_and_without_when_it_is_listed() {
    let rights = r#"capabilities = ["read", "list", "scan"]"#;
    let may = |pattern: &str, path: &str, operation| {
        let acl = acl(&[&format!("path \"{pattern}\" {{ {rights} }}")]);
        acl.authorise(&request(path, operation)).permitted
    };
    for operation in [Operation::List, Operation::Scan] {
        for pattern in ["kv/a", "kv/a/", "kv/+", "kv/+/", "kv/a*"] {
            assert!(may(pattern, "kv/a/", operation), "{pattern} {operation:?}");
        }
        assert!(!may("kv/a/", "kv/a", operation));
        assert!(!may("kv/a", "kv/a//", operation));
    }
    assert!(!may("kv/a", "kv/a/", Operation::Read));
    // What is said of the folder with its slash goes before what is said of it without.
    assert_eq!(decided(&["k*", "kv/+"], "kv/a/"), 0);
    assert_eq!(decided(&["kv/+/", "k*"], "kv/a/"), 0);
    assert_eq!(decided(&["kv/a", "kv/a/*"], "kv/a/"), 0);
}

#[test]
fn each_operation_needs_its_own_capability() {
    let all = [
        (Operation::Create, "create"),
        (Operation::Read, "read"),
        (Operation::Update, "update"),
        (Operation::Patch, "patch"),
        (Operation::Delete, "delete"),
        (Operation::List, "list"),
        (Operation::Scan, "scan"),
    ];
    for (_, granted) in all {
        let acl = acl(&[&format!("path \"a\" {{ capabilities = [\"{granted}\"] }}")]);
        for (operation, needed) in all {
            let decision = acl.authorise(&request("a", operation));
            assert_eq!(decision.permitted, granted == needed, "{granted} {needed}");
            assert_eq!(decision.policies.len(), usize::from(granted == needed));
        }
    }
}

#[test]
fn policies_grant_together_and_any_denial_wins() {
    let read = r#"path "a" { capabilities = ["read"] }"#;
    let list = r#"path "a" { capabilities = ["list", "read"] }"#;
    let deny = r#"path "a" { capabilities = ["read", "deny"] }"#;
    let both = acl(&[read, list]);
    assert_eq!(names(&both, "a"), "list read");
    let decision = both.authorise(&request("a", Operation::Read));
    assert_eq!(
        (decision.permitted, decision.policies),
        (true, vec!["p0", "p1"])
    );
    assert_eq!(
        both.authorise(&request("a", Operation::List)).policies,
        ["p1"]
    );
    for texts in [[read, deny, list], [deny, list, read], [list, read, deny]] {
        let acl = acl(&texts);
        assert_eq!(names(&acl, "a"), "deny");
        let decision = acl.authorise(&request("a", Operation::Read));
        let place = texts
            .iter()
            .position(|text| *text == deny)
            .expect("one denies");
        assert_eq!(decision.policies, [format!("p{place}")]);
        assert!(!decision.permitted);
    }
}

#[test]
fn paths_for_root_need_sudo_as_well() {
    let sudo = |capabilities: &str| {
        let acl = acl(&[&format!("path \"a\" {{ capabilities = [{capabilities}] }}")]);
        let request = Request {
            needs_sudo: true,
            ..request("a", Operation::Read)
        };
        acl.authorise(&request).permitted
    };
    assert!(sudo(r#""read", "sudo""#));
    assert!(!sudo(r#""read""#));
    assert!(!sudo(r#""sudo""#));
}

#[test]
fn root_may_do_everything_and_only_by_being_root() {
    let root = Acl::root();
    let decision = root.authorise(&Request {
        needs_sudo: true,
        ..request("sys/anything", Operation::Delete)
    });
    assert!(decision.permitted);
    assert_eq!(decision.policies, ["root"]);
    assert_eq!(names(&root, "x"), "root");
    let named = Acl::new([("root", &Policy::default())], NOW);
    assert_eq!(names(&named, "x"), "deny");
    assert!(!named.authorise(&request("x", Operation::Read)).permitted);
}

#[test]
fn what_has_expired_does_not_count() {
    let text = r#"
        path "a" {
          capabilities = ["read"]
          expiration = "2023-11-14T22:13:20Z"
        }
        path "a" {
          capabilities = ["list"]
        }
        path "b" {
          capabilities = ["deny"]
          expiration = 1700000001
        }
        path "b" {
          capabilities = ["read"]
        }
    "#;
    let policy = policy(text);
    let at = |millis| {
        let acl = Acl::new([("p", &policy)], Millis(millis));
        (names(&acl, "a"), names(&acl, "b"), acl.valid_until())
    };
    let shown = |a: &str, b: &str, until: Option<u64>| (a.into(), b.into(), until.map(Millis));
    assert_eq!(
        at(1_700_000_000_000),
        shown("list read", "deny", Some(1_700_000_000_000))
    );
    assert_eq!(
        at(1_700_000_000_001),
        shown("list", "deny", Some(1_700_000_001_000))
    );
    assert_eq!(at(1_700_000_001_001), shown("list", "read", None));
    // One policy that says it twice is named once.
    let acl = Acl::new([("p", &policy)], NOW);
    assert_eq!(
        acl.authorise(&request("b", Operation::Read)).policies,
        ["p"]
    );
}

#[test]
fn a_mount_is_reached_by_what_is_granted_there_or_around_it() {
    let reaches = |pattern: &str, grants: &str| {
        let text = format!("path \"{pattern}\" {{ capabilities = [{grants}] }}");
        acl(&[&text]).reaches("kv/team/")
    };
    for pattern in [
        "*",
        "kv/*",
        "kv/team",
        "kv/team/",
        "kv/team/*",
        "kv/team/a",
        "kv/team/a*",
        "kv/te*",
        "+/team/a",
        "kv/+/a/b",
        "+/te*",
        "+/*",
        "kv/+",
    ] {
        assert!(reaches(pattern, "\"scan\""), "{pattern}");
        assert!(!reaches(pattern, ""), "{pattern}");
        assert!(!reaches(pattern, "\"deny\""), "{pattern}");
    }
    for pattern in [
        "",
        "kv",
        "kv/",
        "k",
        "kv/tea",
        "kv/teams/a",
        "+",
        "+/tea",
        "kv/tex*",
    ] {
        assert!(!reaches(pattern, "\"read\""), "{pattern}");
    }
    // What one policy denies none grants.
    let denied = acl(&[
        "path \"kv/team/a\" { policy = \"read\" }",
        "path \"kv/team/a\" { policy = \"deny\" }",
    ]);
    assert!(!denied.reaches("kv/team/"));
    let expired = "path \"kv/team/a\" { policy = \"read\" expiration = 1 }";
    assert!(!acl(&[expired]).reaches("kv/team/"));
    assert!(Acl::root().reaches("kv/team/") && !acl(&[]).reaches("kv/team/"));
}
