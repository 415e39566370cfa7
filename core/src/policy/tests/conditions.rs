//! Parameters, response wrapping and pages. Every answer is what OpenBao 2.7 gives, except where a
//! name says otherwise.

use super::*;

/// A policy for `a` with these lines besides its capabilities.
fn with(lines: &str) -> Acl {
    acl(&[&text(lines)])
}

fn text(lines: &str) -> String {
    format!(
        "path \"a\" {{\n  capabilities = [\"create\", \"read\", \"update\", \"list\"]\n{lines}\n}}"
    )
}

#[test]
fn only_allowed_parameters_may_be_given() {
    let acl = with(r#"allowed_parameters = { "k" = ["a", true], "Any" = [] }"#);
    assert!(writes(&acl, r#"{"k":"a"}"#));
    assert!(writes(&acl, r#"{"K":"a","any":{"x":[1]}}"#));
    assert!(writes(&acl, r#"{"k":true}"#));
    assert!(writes(&acl, "{}"));
    for body in [
        r#"{"k":"b"}"#,
        r#"{"k":"true"}"#,
        r#"{"k":["a"]}"#,
        r#"{"k":null}"#,
        r#"{"z":1}"#,
        r#"{"k":"a","z":1}"#,
    ] {
        assert!(!writes(&acl, body), "{body}");
    }
}

#[test]
fn an_asterisk_among_the_allowed_names_permits_the_others() {
    let acl = with(r#"allowed_parameters = { "k" = ["a"], "*" = ["x"] }"#);
    assert!(writes(&acl, r#"{"k":"a","z":3}"#));
    assert!(!writes(&acl, r#"{"k":"b"}"#));
    assert!(writes(
        &with(r#"allowed_parameters = { "*" = ["x"] }"#),
        r#"{"k":3}"#
    ));
}

#[test]
fn denied_parameters_may_not_be_given() {
    let acl = with(r#"denied_parameters = { "k" = ["a", false], "Any" = [] }"#);
    assert!(writes(&acl, r#"{"k":"b","z":1}"#));
    for body in [
        r#"{"k":"a"}"#,
        r#"{"K":false}"#,
        r#"{"ANY":{}}"#,
        r#"{"any":null,"k":"b"}"#,
    ] {
        assert!(!writes(&acl, body), "{body}");
    }
    let nothing = with(r#"denied_parameters = { "*" = ["x"] }"#);
    assert!(writes(&nothing, "{}"));
    assert!(!writes(&nothing, r#"{"k":1}"#));
    let both = with("denied_parameters = { \"k\" = [] }\nallowed_parameters = { \"*\" = [] }");
    assert!(writes(&both, r#"{"l":"a"}"#));
    assert!(!writes(&both, r#"{"k":"a"}"#));
}

#[test]
fn asterisks_at_the_ends_of_a_value_stand_for_anything() {
    let takes = |value: &str, given: &str| {
        let acl = with(&format!("allowed_parameters = {{ \"k\" = [\"{value}\"] }}"));
        writes(&acl, &format!("{{\"k\":\"{given}\"}}"))
    };
    for (value, given) in [
        ("a*", "a"),
        ("a*", "ab"),
        ("*a", "ba"),
        ("*a*", "bab"),
        ("**", ""),
        ("*", "*"),
        ("a*b", "a*b"),
        ("", ""),
    ] {
        assert!(takes(value, given), "{value} {given}");
    }
    for (value, given) in [
        ("a*", "ba"),
        ("*a", "ab"),
        ("*a*", "b"),
        ("*", "x"),
        ("a*b", "ab"),
    ] {
        assert!(!takes(value, given), "{value} {given}");
    }
}

#[test]
fn numbers_equal_numbers_unlike_in_openbao() {
    let acl = with(r#"allowed_parameters = { "k" = [5, -3] }"#);
    for body in [r#"{"k":5}"#, r#"{"k":-3}"#, r#"{"k":5.0}"#, r#"{"k":5e0}"#] {
        assert!(writes(&acl, body), "{body}");
    }
    for body in [
        r#"{"k":"5"}"#,
        r#"{"k":5.5}"#,
        r#"{"k":18446744073709551611}"#,
    ] {
        assert!(!writes(&acl, body), "{body}");
    }
    assert!(!writes(
        &with(r#"denied_parameters = { "k" = [5] }"#),
        r#"{"k":5}"#
    ));
}

#[test]
fn required_parameters_must_be_given_in_lower_case() {
    let acl = with(r#"required_parameters = ["K"]"#);
    assert!(writes(&acl, r#"{"k":null}"#));
    assert!(!writes(&acl, r#"{"K":1}"#));
    assert!(!writes(&acl, r#"{"l":1}"#));
    let read = acl.authorise(&request("a", Operation::Read));
    assert_eq!((read.permitted, read.policies), (false, vec!["p0"]));
    assert!(acl.authorise(&request("a", Operation::List)).permitted);
}

#[test]
fn parameters_of_several_policies_are_united() {
    let free = text("");
    let a = text(r#"allowed_parameters = { "k" = ["a"] }"#);
    let b = text(r#"allowed_parameters = { "k" = ["b"], "l" = ["x"] }"#);
    let any = text(r#"allowed_parameters = { "K" = [] }"#);
    for texts in [[&a[..], &b, &free], [&free, &b, &a], [&b, &free, &a]] {
        let acl = acl(&texts);
        assert!(writes(&acl, r#"{"k":"a","l":"x"}"#));
        assert!(writes(&acl, r#"{"k":"b"}"#));
        assert!(!writes(&acl, r#"{"k":"c"}"#));
        assert!(!writes(&acl, r#"{"z":"c"}"#));
    }
    for texts in [[&a[..], &any], [&any, &a]] {
        assert!(writes(&acl(&texts), r#"{"k":"anything"}"#));
    }
    let k = text(r#"denied_parameters = { "k" = ["a"] }"#);
    let l = text(r#"denied_parameters = { "l" = [] }"#);
    let acl = acl(&[&k, &l]);
    assert!(writes(&acl, r#"{"k":"b"}"#));
    assert!(!writes(&acl, r#"{"k":"a"}"#) && !writes(&acl, r#"{"l":1}"#));
}

#[test]
fn required_parameters_of_several_policies_are_all_required() {
    let acl = acl(&[
        &text(r#"required_parameters = ["k"]"#),
        &text(r#"required_parameters = ["l", "K"]"#),
    ]);
    assert!(writes(&acl, r#"{"k":1,"l":2}"#));
    assert!(!writes(&acl, r#"{"k":1}"#) && !writes(&acl, r#"{"l":2}"#));
}

#[test]
fn answers_must_be_wrapped_within_the_bounds() {
    let permitted =
        |acl: &Acl| [None, Some(4), Some(5), Some(10), Some(11)].map(|seconds| wraps(acl, seconds));
    let least = with("min_wrapping_ttl = 5");
    assert_eq!(permitted(&least), [false, false, true, true, true]);
    let most = with("max_wrapping_ttl = \"10s\"");
    assert_eq!(permitted(&most), [false, true, true, true, false]);
    let both = with("min_wrapping_ttl = \"5\"\nmax_wrapping_ttl = \"10\"");
    assert_eq!(permitted(&both), [false, false, true, true, false]);
    assert_eq!(permitted(&with("min_wrapping_ttl = 0")), [true; 5]);
}

#[test]
fn the_lower_of_two_wrapping_bounds_counts() {
    let five = text("min_wrapping_ttl = 5\nmax_wrapping_ttl = 50");
    let ten = text("min_wrapping_ttl = 10\nmax_wrapping_ttl = 20");
    for texts in [[&five[..], &ten], [&ten, &five]] {
        let acl = acl(&texts);
        assert!(wraps(&acl, Some(5)) && wraps(&acl, Some(20)));
        assert!(!wraps(&acl, Some(4)) && !wraps(&acl, Some(21)));
    }
    // Two policies may exclude everything between them; one may not.
    let none = acl(&[
        &text("max_wrapping_ttl = 5"),
        &text("min_wrapping_ttl = 10"),
    ]);
    assert!((0..20).all(|seconds| !wraps(&none, Some(seconds))));
}

#[test]
fn pages_are_bounded_and_no_limit_of_zero_goes_around_it_unlike_in_openbao() {
    let acl = acl(&[
        &text("pagination_limit = 9"),
        &text("pagination_limit = \"2\""),
    ]);
    let lists = |limit: &str| {
        let parameters = map(limit);
        let request = Request {
            parameters: Some(&parameters),
            ..request("a/", Operation::List)
        };
        acl.authorise(&request).permitted
    };
    for limit in [
        "{}",
        r#"{"limit":"2"}"#,
        r#"{"limit":1}"#,
        r#"{"limit":"max"}"#,
    ] {
        assert!(lists(limit), "{limit}");
    }
    for limit in [
        "3", "0", "-1", "\"3\"", "\"0\"", "\"-1\"", "\"x\"", "\"\"", "null", "1.5",
    ] {
        assert!(!lists(&format!("{{\"limit\":{limit}}}")), "{limit}");
    }
    assert_eq!(acl.authorise(&request("a", Operation::List)).page, Some(2));
    assert_eq!(acl.authorise(&request("a", Operation::Read)).page, None);
    let asked = with("pagination_limit = 2\nrequired_parameters = [\"Limit\"]");
    assert!(!asked.authorise(&request("a", Operation::List)).permitted);
}

/// Whoever puts a request on record holds it to them before: the record does not hold them.
#[test]
fn without_parameters_no_condition_on_them_is_looked_at() {
    let acl = with(
        "  required_parameters = [\"k\"]\n  denied_parameters = { \"*\" = [] }\n  pagination_limit = 2",
    );
    for operation in [Operation::Read, Operation::Update, Operation::List] {
        let unseen = Request {
            parameters: None,
            ..request("a", operation)
        };
        assert!(acl.authorise(&unseen).permitted);
    }
    assert!(!acl.authorise(&request("a", Operation::Read)).permitted);
    assert!(!wraps(&with("min_wrapping_ttl = 3"), None));
}
