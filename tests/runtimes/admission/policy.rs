//! The files, read strictly: a field that is not listed here is an error.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::expression::Expression;

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/kubernetes/admission")
}

/// What is said of a file: its name, some words, and others in their place.
pub type Change<'a> = (&'a str, &'a str, &'a str);

/// The objects of these files, changed.
#[track_caller]
pub fn load(files: &[&str], changes: &[Change]) -> Vec<Object> {
    let mut objects = Vec::new();
    for file in files {
        let mut text = fs::read_to_string(folder().join(file)).expect(file);
        for (_, from, to) in changes.iter().filter(|(changed, ..)| changed == file) {
            assert!(text.contains(from), "{file}: {from}");
            text = text.replace(from, to);
        }
        for document in serde_norway::Deserializer::from_str(&text) {
            objects.push(Object::deserialize(document).unwrap_or_else(|error| panic!("{file}: {error}")));
        }
    }
    objects
}

macro_rules! strict {
    ($($name:ident { $($field:ident: $type:ty,)* })*) => {$(
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "camelCase", default)]
        pub struct $name { $(pub $field: $type,)* }
    )*};
}

strict! {
    Object {
        api_version: String,
        kind: String,
        metadata: Metadata,
        spec: Spec,
    }
    Metadata {
        name: String,
    }
    // Of a policy or of its binding.
    Spec {
        failure_policy: String,
        reinvocation_policy: String,
        match_constraints: Constraints,
        match_conditions: Vec<Named>,
        variables: Vec<Named>,
        mutations: Vec<Mutation>,
        validations: Vec<Validation>,
        policy_name: String,
        validation_actions: Vec<String>,
    }
    Constraints {
        object_selector: Selector,
        resource_rules: Vec<Resources>,
    }
    Selector {
        match_expressions: Vec<Requirement>,
    }
    Requirement {
        key: String,
        operator: String,
    }
    Resources {
        api_groups: Vec<String>,
        api_versions: Vec<String>,
        resources: Vec<String>,
        operations: Vec<String>,
    }
    Named {
        name: String,
        expression: Expression,
    }
    Mutation {
        patch_type: String,
        apply_configuration: Option<Only>,
        json_patch: Option<Only>,
    }
    Only {
        expression: Expression,
    }
    Validation {
        expression: Expression,
        message: Option<String>,
        message_expression: Option<Expression>,
    }
}

impl Object {
    pub fn is_policy(&self) -> bool {
        self.kind.ends_with("AdmissionPolicy")
    }

    /// Whether it is asked about the creation of this object.
    pub fn matches(&self, object: &Value) -> bool {
        let constraints = &self.spec.match_constraints;
        let labels = &object["metadata"]["labels"];
        let selected = constraints.object_selector.match_expressions.iter().all(|requirement| {
            assert_eq!(requirement.operator, "Exists");
            !labels[&requirement.key].is_null()
        });
        let of_object = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let version = of_object(&object["apiVersion"]);
        let (group, version) = version.split_once('/').unwrap_or(("", &version));
        let resource = format!("{}s", of_object(&object["kind"]).to_lowercase());
        let has = |list: &[String], word: &str| list.iter().any(|listed| listed == word);
        selected
            && constraints.resource_rules.iter().any(|rule| {
                has(&rule.api_groups, group)
                    && has(&rule.api_versions, version)
                    && has(&rule.resources, &resource)
                    && has(&rule.operations, "CREATE")
            })
    }
}
