//! What an API server does with what a mutation's expression made.

use json_patch::PatchOperation;
use serde_json::{Value, json};

/// Merges an ApplyConfiguration into a pod, as structured-merge-diff does: objects by field, the
/// lists that have keys by these. Another list is replaced as a whole by such a merge, and the API
/// server refuses that ("may not mutate atomic arrays, maps or structs").
pub fn configuration(pod: &mut Value, configuration: &Value) -> Result<(), String> {
    merge(pod, configuration, "")
}

/// The keys of a pod's lists, as its OpenAPI schema has them (x-kubernetes-list-map-keys).
fn key(path: &str) -> Option<&'static str> {
    match path {
        ".spec.volumes" | ".spec.containers" | ".spec.initContainers" => Some("name"),
        ".spec.containers.env" | ".spec.initContainers.env" => Some("name"),
        ".spec.containers.volumeMounts" | ".spec.initContainers.volumeMounts" => Some("mountPath"),
        _ => None,
    }
}

fn merge(into: &mut Value, from: &Value, path: &str) -> Result<(), String> {
    match from {
        Value::Object(fields) => {
            if into.is_null() {
                *into = json!({});
            }
            for (name, value) in fields {
                merge(&mut into[name], value, &format!("{path}.{name}"))?;
            }
        }
        Value::Array(elements) => {
            let key = key(path).ok_or(format!("{path}: may not mutate atomic arrays, maps or structs"))?;
            if into.is_null() {
                *into = json!([]);
            }
            let list = into.as_array_mut().ok_or(format!("{path}: no list"))?;
            for element in elements {
                assert!(!element[key].is_null(), "{path}: {element} has no {key}");
                // A new one comes after all that are there.
                let place = list.iter().position(|there| there[key] == element[key]).unwrap_or(list.len());
                if place == list.len() {
                    list.push(json!({}));
                }
                merge(&mut list[place], element, path)?;
            }
        }
        scalar => *into = scalar.clone(),
    }
    Ok(())
}

/// RFC 6902.
pub fn patch(pod: &mut Value, operations: &Value) -> Result<(), String> {
    for operation in operations.as_array().ok_or("no list of operations")? {
        let mut elements = operation["value"].as_array().into_iter().flatten();
        if elements.any(Value::is_object) {
            return Err(format!("kube-apiserver 1.36.2 panics at {operation}"));
        }
    }
    let operations: Vec<PatchOperation> =
        serde_json::from_value(operations.clone()).map_err(|error| format!("{error}: {operations}"))?;
    // The other function would undo what it did, and panics where a move comes before the failure.
    json_patch::patch_unsafe(pod, &operations).map_err(|error| error.to_string())
}
