use std::collections::BTreeMap;

use super::*;

fn generic() -> Value {
    let mut document = Document::default();
    ROUTES
        .iter()
        .for_each(|route| document.add(route, route.path));
    document.value()
}

/// The operations of a document, by path and method.
fn operations(document: &Value) -> BTreeMap<(String, String), Value> {
    let mut found = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if !matches!(method.as_str(), "parameters" | "servers") {
                let key = (path.clone(), method.clone());
                found.insert(key, operation.clone());
            }
        }
    }
    found
}

#[test]
fn every_route_is_in_the_document_with_its_verbs() {
    let document = generic();
    let operations = operations(&document);
    let mut told = 0;
    for route in ROUTES {
        let path = route.path.strip_prefix("v1").map(str::to_owned);
        let mut path = path.unwrap_or_else(|| format!("/{}", route.path));
        for (stem, name) in GENERIC {
            path = path.replace(stem, name);
        }
        for verb in route.verbs {
            let (at, method, lists) = match verb {
                Verb::List | Verb::Scan => (format!("{path}/"), "get".to_owned(), true),
                verb => (path.clone(), verb.name().to_lowercase(), false),
            };
            let operation = operations.get(&(at.clone(), method));
            let operation = operation.unwrap_or_else(|| panic!("{verb:?} {at} is missing"));
            let methods = operation["x-billfold-methods"].as_array();
            assert_eq!(
                methods.is_some_and(|methods| methods.contains(&verb.name().into())),
                lists,
                "{verb:?} {at}"
            );
            assert_eq!(
                operation["security"] == json!([]),
                route.access == Access::Open,
                "{at}"
            );
            told += 1;
        }
    }
    // And nothing else is.
    let count = |operation: &Value| {
        operation["x-billfold-methods"]
            .as_array()
            .map_or(1, Vec::len)
    };
    assert_eq!(operations.values().map(count).sum::<usize>(), told);
}

/// What the specification of OpenAPI 3.0 demands of what is used of it.
#[test]
fn the_document_is_one_of_openapi() {
    let document = generic();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.0."));
    for field in ["title", "version"] {
        assert!(!document["info"][field].as_str().unwrap().is_empty());
    }
    let mut ids = BTreeSet::new();
    let mut shapes = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        assert!(path.starts_with('/'), "{path}");
        let shape: Vec<_> = path
            .split('/')
            .map(|part| match part.starts_with('{') {
                true => "{}",
                false => part,
            })
            .collect();
        assert!(shapes.insert(shape.join("/")), "{path} is there twice");
        let variables: BTreeSet<_> = path
            .split('{')
            .skip(1)
            .filter_map(|part| part.split_once('}'))
            .map(|(name, _)| name)
            .collect();
        let declared = item["parameters"].as_array().into_iter().flatten();
        let declared: BTreeSet<_> = declared
            .map(|parameter| {
                assert_eq!(
                    (&parameter["in"], &parameter["required"]),
                    (&json!("path"), &json!(true))
                );
                parameter["name"].as_str().unwrap()
            })
            .collect();
        assert_eq!(variables, declared, "{path}");
    }
    for ((path, method), operation) in operations(&document) {
        assert!(["get", "head", "post", "put", "patch", "delete"].contains(&method.as_str()));
        assert!(
            ids.insert(operation["operationId"].as_str().unwrap().to_owned()),
            "{path}"
        );
        let responses = operation["responses"].as_object().unwrap();
        assert!(!responses.is_empty());
        assert!(
            responses
                .values()
                .all(|told| told["description"].is_string())
        );
        assert!(
            operation["summary"].as_str().unwrap().ends_with('.'),
            "{path}"
        );
        let writes = matches!(method.as_str(), "post" | "put" | "patch");
        assert_eq!(operation["requestBody"].is_object(), writes, "{path}");
    }
}

#[test]
fn help_finds_what_a_path_is_for() {
    for (pattern, path, is_its) in [
        ("v1/sys/mounts", "v1/sys/mounts", true),
        ("v1/sys/mounts", "v1/sys/mounts/", true),
        ("v1/sys/mounts/{path}", "v1/sys/mounts/a/b", true),
        ("v1/sys/mounts/{path}", "v1/sys/mounts", false),
        ("v1/sys/mounts", "v1/sys", true),
        ("v1/sys/mounts", "v1/sys/mount", false),
        ("v1/auth/token/create", "v1/auth/token", true),
        ("v1/auth/token/create", "v1/auth", false),
        ("v1/{mount}/data/{path}", "v1/{mount}", true),
        ("v1/{mount}/data/{path}", "v1/{mount}/data/a", true),
        ("v1/{mount}/data/{path}", "v1/{mount}/data", false),
        ("v1/{mount}/config", "v1/{mount}/config", true),
        ("v1/{mount}/config", "v1/{mount}/data/config", false),
        ("v1/{kv1}/{path}", "v1/{kv1}/a", true),
        ("v1/{kv1}", "v1/{kv1}/a", false),
        ("metrics", "v1/metrics", false),
    ] {
        assert_eq!(leads(pattern, path), is_its, "{pattern} {path}");
    }
}
