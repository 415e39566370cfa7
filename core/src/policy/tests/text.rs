//! Texts that are policies, and texts that are none.

use super::*;

fn fault(text: &str) -> Fault {
    match Policy::parse(text) {
        Err(error) => error.fault,
        Ok(_) => panic!("this is no policy: {text}"),
    }
}

/// A path with these lines in it.
fn inside(lines: &str) -> String {
    format!("path \"a\" {{\n{lines}\n}}")
}

#[test]
fn both_languages_say_the_same() {
    let hcl = r#"
        # A remark.
        name = "app"
        path "secret/data/app" {
          capabilities        = ["read", "create",]
          comment             = "for the app"
          allowed_parameters  = { "K" = ["a*", 1, true], l = [] }
          denied_parameters   { m = [] }
          required_parameters = ["K"]
          min_wrapping_ttl    = "90s"
          max_wrapping_ttl    = 120
          pagination_limit    = "10"
          expiration          = "2030-01-01T02:00:00+02:00"
        }
        path "old/*" { policy = "write" } // another
    "#;
    let json = r#"{"name": "app", "path": [
        {"old/*": {"policy": "write"}},
        {"secret/data/app": {
            "capabilities": ["create", "read"], "comment": "for the app",
            "allowed_parameters": {"k": [true, 1, "a*"], "L": []},
            "denied_parameters": {"m": []}, "required_parameters": ["k"],
            "min_wrapping_ttl": "1m30s", "max_wrapping_ttl": "2m", "pagination_limit": 10,
            "expiration": 1893456000}}]}"#;
    assert_eq!(policy(hcl), policy(json));
    assert_eq!(policy(hcl).rules().len(), 2);
    assert_eq!(
        policy(hcl).rules()[1].expires,
        Some(Millis(1_893_456_000_000))
    );
}

#[test]
fn lines_break_anywhere_as_in_the_first_version_of_the_language() {
    let one = r#"path "a" { capabilities = ["read"] policy = "read" comment = true pagination_limit = 3 }
        path "b" { allowed_parameters = { "k" = ["x", "}"] l = [] } denied_parameters { m = [] } }"#;
    let many = r#"
path "a" {
  capabilities = [
    "read", # one { more
    "list" /* } */
  ]
  policy = "read"
  pagination_limit = 3
}
path "b" {
  allowed_parameters = {
    "k" = ["x", "}"],
    l = []
  }
  denied_parameters = {
    m = []
  }
}"#;
    assert_eq!(policy(one), policy(many));
    assert_eq!(policy(one).rules().len(), 2);
    for text in [
        r#"path "a" { policy = "read" } path "b" { policy = "deny" }"#,
        "path \"a\" { policy = \"read\"\n}",
        "path \"a\" {\n policy = \"read\" }",
        "path \"a\"{capabilities=[\"read\"],policy=\"read\"}path \"b\"{}",
        "path \"a\" { capabilities = [] /* { */ policy = \"read\" // }\n}",
        "path \"a\" { comment = \"\\\"}{\" policy = \"read\" }\r\n# }",
        "path a { comment = [[1], { k = 2 }] policy = \"read\" }",
    ] {
        assert_eq!(names(&acl(&[text]), "a"), "list read", "{text}");
    }
}

#[test]
fn rules_for_one_pattern_are_one() {
    let twice = r#"{"path": {"a": {"capabilities": ["read"]}, "/a": {"capabilities": ["list"]}}}"#;
    assert_eq!(
        policy(twice),
        policy(&inside(r#"capabilities = ["list", "read"]"#))
    );
    let denied = inside("capabilities = [\"deny\", \"read\"]\nallowed_parameters = { k = [] }");
    assert_eq!(policy(&denied), policy(&inside(r#"policy = "deny""#)));
}

#[test]
fn short_forms_grant_what_they_always_did() {
    for (form, granted) in [
        ("read", "list read"),
        ("write", "create delete list read update"),
        ("sudo", "create delete list read sudo update"),
        ("deny", "deny"),
        ("", "deny"),
    ] {
        assert_eq!(
            names(&acl(&[&inside(&format!("policy = \"{form}\""))]), "a"),
            granted
        );
    }
    let more = inside("policy = \"read\"\ncapabilities = [\"scan\"]");
    assert_eq!(names(&acl(&[&more]), "a"), "list read scan");
}

#[test]
fn nothing_is_a_policy_that_grants_nothing() {
    for text in [
        "",
        " \n",
        "# only a remark",
        "{}",
        r#"{"path": {}}"#,
        " {\"name\":\"x\"}",
    ] {
        assert_eq!(policy(text), Policy::default(), "{text}");
    }
    assert_eq!(names(&acl(&["path \"a\" {}"]), "a"), "deny");
}

#[test]
fn time_spans_are_read_as_clients_write_them() {
    let span = |value: &str| {
        let text = inside(&format!(
            "capabilities = [\"read\"]\nmin_wrapping_ttl = {value}"
        ));
        match Policy::parse(&text) {
            Ok(policy) => Ok(policy.rules()[0]
                .conditions
                .as_ref()
                .and_then(|c| c.min_wrap)),
            Err(error) => Err(error.fault),
        }
    };
    for (value, millis) in [
        ("5", 5_000),
        ("\"5\"", 5_000),
        ("\"5s\"", 5_000),
        ("\"500ms\"", 500),
        ("\"1.5h\"", 5_400_000),
        ("\"1h30m\"", 5_400_000),
        ("\"0.05m\"", 3_000),
        ("\".5s\"", 500),
        ("\"2d\"", 172_800_000),
    ] {
        assert_eq!(span(value), Ok(Some(millis)), "{value}");
    }
    for value in ["0", "\"\"", "\"0s\""] {
        assert_eq!(span(value), Ok(None), "{value}");
    }
    for value in [
        "-5",
        "\"-5s\"",
        "1.5",
        "true",
        "[]",
        "\"x\"",
        "\"5 s\"",
        "\"5w\"",
        "\"1d12h\"",
        "\".s\"",
        "\"1.2.3s\"",
        "\"0.0005s\"",
        "\"99999999999999999999\"",
        "\"99999999999999999h\"",
        "9223372036854775807",
        "\"1..s\"",
        "\"s\"",
    ] {
        assert_eq!(span(value), Err(Fault::Span("min_wrapping_ttl")), "{value}");
    }
}

#[test]
fn moments_are_dates_or_seconds() {
    let moment = |value: &str| match Policy::parse(&inside(&format!("expiration = {value}"))) {
        Ok(policy) => Ok(policy.rules()[0].expires.map(|moment| moment.0)),
        Err(error) => Err(error.fault),
    };
    for value in [
        "1893456000",
        "\"1893456000\"",
        "\"2030-01-01T00:00:00Z\"",
        "\"2030-01-01T00:00:00.0004Z\"",
        "\"2029-12-31T17:00:00-07:00\"",
    ] {
        assert_eq!(moment(value), Ok(Some(1_893_456_000_000)), "{value}");
    }
    assert_eq!(moment("\"\""), Ok(None));
    for value in [
        "\"2030-01-01\"",
        "\"x\"",
        "\"1h\"",
        "-1",
        "true",
        "\"1969-01-01T00:00:00Z\"",
    ] {
        assert_eq!(moment(value), Err(Fault::Moment), "{value}");
    }
}

#[test]
fn what_is_unknown_or_unsupported_is_refused() {
    for (text, expected) in [
        ("foo = 1", Fault::UnknownTopKey),
        ("foo \"a\" {\n}", Fault::UnknownTopKey),
        (r#"{"PATH": {}}"#, Fault::UnknownTopKey),
        ("path \"a\" { foo = 1 }", Fault::UnknownKey),
        ("path \"a\" { Capabilities = [] }", Fault::UnknownKey),
        (
            "path \"a\" { response_keys_filter_path = \"x\" }",
            Fault::UnknownKey,
        ),
        (
            "path \"a\" { capabilities = [\"READ\"] }",
            Fault::Capability,
        ),
        (
            "path \"a\" { capabilities = [\"root\"] }",
            Fault::Capability,
        ),
        (
            "path \"a\" { capabilities = [\"deny\", \"x\"] }",
            Fault::Capability,
        ),
        ("path \"a\" { policy = \"x\" }", Fault::ShortForm),
        (
            "path \"a\" { mfa_methods = [] }",
            Fault::Unsupported("mfa_methods"),
        ),
        (
            "path \"a\" {\ncontrol_group {\n}\n}",
            Fault::Unsupported("control_group"),
        ),
        (
            "path \"a\" { list_scan_response_keys_filter_path = \"{{ .key }}\" }",
            Fault::Unsupported("list_scan_response_keys_filter_path"),
        ),
        ("path \"a/{{identity.entity.id}}\" {}", Fault::Template),
        ("path \"a/{{\" {}", Fault::Template),
        ("path \"a/}}\" {}", Fault::Template),
        ("path \"a/+*\" {}", Fault::Wildcard),
        ("path \"+*\" {}", Fault::Wildcard),
        ("path \"/+*\" {}", Fault::Wildcard),
    ] {
        assert_eq!(fault(text), expected, "{text}");
    }
}

#[test]
fn values_of_another_type_are_refused() {
    let wants = |lines: &str| matches!(fault(&inside(lines)), Fault::Type { .. });
    for lines in [
        "capabilities = \"read\"",
        "capabilities = [1]",
        "capabilities = null",
        "capabilities = {}",
        "policy = 1",
        "required_parameters = \"k\"",
        "required_parameters = [true]",
        "allowed_parameters = []",
        "allowed_parameters = [{ k = [] }]",
        "allowed_parameters = { k = \"v\" }",
        "allowed_parameters = { k = [null] }",
        "allowed_parameters = { k = [1.5] }",
        "denied_parameters = { k = [[1]] }",
        "denied_parameters = { k = [{ a = 1 }] }",
        "pagination_limit = -5",
        "pagination_limit = 1.5",
        "pagination_limit = true",
        "pagination_limit = \"+5\"",
        "pagination_limit = 4294967296",
    ] {
        assert!(wants(lines), "{lines}");
    }
    assert!(matches!(fault("name = 1"), Fault::Type { key: "name", .. }));
    assert!(matches!(
        fault(r#"{"name": null}"#),
        Fault::Type { key: "name", .. }
    ));
}

#[test]
fn what_is_ambiguous_is_refused() {
    for (text, expected) in [
        (
            r#"{"path": {"a": {"policy": "read", "policy": "write"}}}"#,
            Fault::Twice,
        ),
        (
            r#"{"path": {"a": {"denied_parameters": {"k": [], "K": ["x"]}}}}"#,
            Fault::Twice,
        ),
        ("path \"a\" \"b\" {}", Fault::PathForm),
        ("path {\n}", Fault::PathForm),
        ("path = \"a\"", Fault::PathForm),
        (r#"{"path": null}"#, Fault::PathForm),
        (r#"{"path": []}"#, Fault::PathForm),
        (r#"{"path": [1]}"#, Fault::PathForm),
        (r#"{"path": {"a": null}}"#, Fault::PathForm),
        (r#"{"path": {"a": [{}]}}"#, Fault::PathForm),
        ("path \"a${x}\" {}", Fault::Hcl),
        ("path \"a$${x}\" {}", Fault::NotPlain),
        (
            "path \"a\" { policy = \"%{ if x }read%{ endif }\" }",
            Fault::NotPlain,
        ),
        ("path \"a\" { policy = read }", Fault::NotPlain),
        ("path \"a\" { policy = lower(\"read\") }", Fault::NotPlain),
        (
            "path \"a\" { policy = true ? \"read\" : \"deny\" }",
            Fault::Hcl,
        ),
        ("path \"a\" {\npolicy = <<E\nread\nE\n}", Fault::NotPlain),
        ("path \"a\" { pagination_limit = 1 + 1 }", Fault::Hcl),
        ("path \"a\" { pagination_limit = 010 }", Fault::Octal),
        (
            "path \"a\" {\nmin_wrapping_ttl = \"5m\"\nmax_wrapping_ttl = \"4m\"\n}",
            Fault::WrapOrder,
        ),
    ] {
        assert_eq!(fault(text), expected, "{text}");
    }
}

#[test]
fn what_is_neither_language_is_refused_at_its_line() {
    let line = |text: &str| Policy::parse(text).expect_err("no policy").place;
    assert_eq!(line("path \"a\" {}\n\npath \"b\" {"), Place::Line(3));
    assert_eq!(
        line("path \"a\" {}\npath \"b\" {\n  foo = 1\n}"),
        Place::Line(3)
    );
    assert_eq!(line("path \"a\" {\n  policy = \"x\"\n}"), Place::Line(2));
    assert_eq!(
        line("path \"a\" { policy = \"read\" } path \"b\" {}\npath \"c\" { policy = \"x\" }"),
        Place::Line(2)
    );
    assert_eq!(line("path \"a\" {}\npath \"b\" { ) }"), Place::Line(2));
    assert_eq!(line("{\"path\":\n{\"a\": }}"), Place::Line(2));
    assert_eq!(line(r#"{"path":{"a":{},"b":{"foo":1}}}"#), Place::Path(2));
    for text in [
        "[]",
        "x",
        "path",
        "\u{0}",
        "{\"path\":{}} x",
        "{\"path\":{},}",
        "path \"a\" {",
    ] {
        assert!(matches!(fault(text), Fault::Hcl | Fault::Json), "{text:?}");
    }
}

#[test]
fn errors_repeat_nothing_of_the_text() {
    for text in [
        "canary = 1",
        "canary",
        "path \"canary\" { canary = 1 }",
        "path \"canary/{{x}}\" {}",
        "path \"canary+*\" {}",
        "path \"a\" { capabilities = [\"canary\"] }",
        "path \"a\" { policy = \"canary\" }",
        "path \"a\" { min_wrapping_ttl = \"canary\" }",
        "path \"a\" { allowed_parameters = { canary = 1 } }",
        "{\"path\":{\"canary\":{\"canary\":1}}}",
        "{\"path\": canary}",
        "path \"canary\" { capabilities = [canary] }",
    ] {
        let error = Policy::parse(text).expect_err("no policy");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }
}

#[test]
fn inv12_texts_are_bounded_in_length_number_and_depth() {
    assert_eq!(fault(&" ".repeat(TEXT_LIMIT + 1)), Fault::TooLong);
    assert_eq!(policy(&" ".repeat(TEXT_LIMIT)), Policy::default());
    let paths =
        |count: usize| -> String { (0..count).map(|n| format!("path \"{n}\" {{}}\n")).collect() };
    assert_eq!(policy(&paths(RULE_LIMIT)).rules().len(), RULE_LIMIT);
    assert_eq!(fault(&paths(RULE_LIMIT + 1)), Fault::TooManyPaths);
    // As deep as the length allows, on the stack of a worker thread.
    let deep = |open: &str, close: &str| {
        let levels = (TEXT_LIMIT - 64) / (open.len() + close.len());
        format!("{}{}", open.repeat(levels), close.repeat(levels))
    };
    let texts = [
        format!("path \"a\" {{ comment = {} }}", deep("[", "]")),
        format!("path \"a\" {{ comment = {} }}", deep("{a=", "}")),
        format!("path \"a\" {{ comment = {} }}", deep("(", ")")),
        format!("path \"a\" {{ comment = {} }}", deep("\"${", "}\"")),
        format!("path \"a\" {{ comment = {}1 }}", deep("!", "")),
        format!("path \"a\" {{ comment = {}1 }}", deep("1+", "")),
        deep("path \"a\" {\n", "}\n"),
        format!("{{\"path\":{}}}", deep("[", "]")),
        format!("{{\"path\":{}}}", deep("{\"a\":", "}")),
    ];
    for text in texts {
        let parsed = std::thread::Builder::new()
            .stack_size(2 << 20)
            .spawn(move || Policy::parse(&text))
            .expect("a thread")
            .join()
            .expect("no overflow");
        let fault = parsed.expect_err("too deep").fault;
        assert!(matches!(fault, Fault::Hcl | Fault::Json), "{fault}");
    }
}
