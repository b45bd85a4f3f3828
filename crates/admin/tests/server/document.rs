//! The OpenAPI document says what is there, and nothing else.

use serde_json::Value;

use crate::lab::{Call, WRITER, Way, guarded};

const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

/// Every operation: method, path, and what the document says of it.
fn operations(document: &Value) -> Vec<(&'static str, String, Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let mut found = Vec::new();
    for (path, item) in paths {
        for method in METHODS {
            if let Some(operation) = item.get(method) {
                found.push((method, path.clone(), operation.clone()));
            }
        }
    }
    found
}

fn concrete(path: &str) -> String {
    path.replace("{service}", "none").replace("{backend}", "none").replace("{id}", "1000000")
}

#[tokio::test]
async fn each_route_is_described_and_each_description_is_a_route() {
    let lab = guarded().await;
    let document = lab.get("/api/v1/openapi.json").await.json();
    assert_eq!(document, serde_json::to_value(admin::openapi()).expect("JSON"));
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    let operations = operations(&document);
    let mut expected = 0;
    for (method, path, operation) in &operations {
        expected += 1;
        // Every method that is described is answered, and none else.
        for other in METHODS {
            let described = operations.iter().any(|(m, p, _)| *m == other && p == path);
            let call = match other {
                "get" | "delete" => Call::new(&other.to_uppercase(), &concrete(path)),
                _ => Call::json(&other.to_uppercase(), &concrete(path), "[]"),
            };
            if path.ends_with("/stream") && other == "get" {
                continue;
            }
            let answer = lab.send(Way::Tcp, &call.token(WRITER)).await;
            let status = answer.status.as_u16();
            assert_eq!(status != 405, described, "{other} {path}: {}", answer.text);
            if described && *method == other {
                let said = operation["responses"].get(status.to_string());
                assert!(said.is_some(), "{other} {path} answered {status}, which is not described");
            }
            assert!(status < 400 || !answer.problem().is_empty());
        }
    }
    assert_eq!(expected, operations.len());
    for (method, path) in [
        ("get", "/api/v1/status"),
        ("get", "/api/v1/services"),
        ("get", "/api/v1/services/{service}"),
        ("post", "/api/v1/services/{service}/switchover"),
        ("delete", "/api/v1/services/{service}/switchover"),
        ("post", "/api/v1/services/{service}/failback"),
        ("post", "/api/v1/services/{service}/pin"),
        ("post", "/api/v1/services/{service}/unpin"),
        ("post", "/api/v1/services/{service}/lock"),
        ("post", "/api/v1/services/{service}/unlock"),
        ("post", "/api/v1/services/{service}/backends/{backend}/drain"),
        ("post", "/api/v1/services/{service}/backends/{backend}/maintenance"),
        ("post", "/api/v1/services/{service}/backends/{backend}/ready"),
        ("post", "/api/v1/services/{service}/backends/{backend}/probe"),
        ("post", "/api/v1/services/{service}/drill"),
        ("delete", "/api/v1/services/{service}/drill"),
        ("get", "/api/v1/events"),
        ("get", "/api/v1/events/stream"),
        ("get", "/api/v1/incidents"),
        ("get", "/api/v1/incidents/{id}"),
        ("post", "/api/v1/reload"),
        ("post", "/api/v1/notifiers/{notifier}/test"),
        ("get", "/api/v1/services/{service}/probes"),
        ("get", "/api/v1/config"),
        ("get", "/api/v1/whoami"),
        ("get", "/api/v1/openapi.json"),
    ] {
        let there = operations.iter().any(|(m, p, _)| *m == method && p == path);
        assert!(there, "{method} {path} is promised");
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_parameter_is_named() {
    let document = serde_json::to_value(admin::openapi()).expect("JSON");
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 50, "{}", references.len());
    for reference in references {
        let place = reference.strip_prefix('#').expect("within the document");
        assert!(document.pointer(place).is_some(), "{reference}");
    }
    let mut names = std::collections::BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let name = operation["operationId"].as_str().expect("a name").to_owned();
        assert!(names.insert(name), "{method} {path} has the name of another");
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        for part in path.split('/').filter(|part| part.starts_with('{')) {
            let part = part.trim_matches(['{', '}']);
            let named = parameters.iter().any(|p| p["name"] == part && p["in"] == "path");
            assert!(named, "{method} {path}: {part}");
        }
        assert_eq!(operation.get("requestBody").is_some(), method == "post", "{method} {path}");
        if let Some(body) = operation.get("requestBody") {
            assert_eq!(body["required"], true, "{path}");
            assert!(body["content"].get("application/json").is_some(), "{path}");
        }
        for (status, response) in operation["responses"].as_object().expect("responses") {
            if status.starts_with(['4', '5']) {
                let content = response["content"].as_object().expect("a body");
                assert_eq!(content.keys().collect::<Vec<_>>(), ["application/problem+json"]);
            }
        }
    }
    assert_eq!(document["components"]["securitySchemes"]["token"]["scheme"], "bearer");
    assert!(document["security"].as_array().is_some_and(|schemes| !schemes.is_empty()));
}

/// What a request may say is closed: the server refuses what it does not know.
#[test]
fn requests_are_closed_and_bounded() {
    let document = serde_json::to_value(admin::openapi()).expect("JSON");
    let schemas = &document["components"]["schemas"];
    for (name, bounded) in [
        (
            "SwitchoverRequest",
            &["/verify_seconds/maximum", "/reason/maxLength", "/to/minLength"][..],
        ),
        ("FailbackRequest", &["/verify_seconds/minimum", "/reason/maxLength"]),
        ("ReasonRequest", &["/reason/maxLength"]),
        ("DrillRequest", &["/length_seconds/minimum", "/length_seconds/maximum"]),
        ("Tag", &["/header/maxLength", "/value/maxLength"]),
    ] {
        let schema = &schemas[name];
        assert_eq!(schema["additionalProperties"], false, "{name}: {schema}");
        for bound in bounded {
            assert!(schema["properties"].pointer(bound).is_some(), "{name}{bound}: {schema}");
        }
    }
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(reference) if name == "$ref" => {
                        references.push(reference.clone());
                    }
                    _ => collect(value, references),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}
