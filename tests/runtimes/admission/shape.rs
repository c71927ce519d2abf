//! What an API server's compiler or a real run says of an expression before it meets a pod.

use kube_cel::cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue, StructExpr};

use super::expression::{Expression, inner};
use super::policy::{self, Object};

/// The functions that the policies call and kube-apiserver 1.36 has: CEL's own, and of its
/// extensions strings, lists and comprehensions of two variables.
const FUNCTIONS: [&str; 9] =
    ["size", "string", "endsWith", "lowerAscii", "upperAscii", "split", "join", "flatten", "transformList"];

/// What is wrong with a policy, as far as its expressions say.
pub fn wrong(policy: &Object) -> Vec<String> {
    let spec = &policy.spec;
    let mut wrong = Vec::new();
    // They come before the variables.
    for condition in &spec.match_conditions {
        wrong.extend(of_expression(&condition.expression, &[], Type::None));
    }
    let mut declared: Vec<&str> = Vec::new();
    for variable in &spec.variables {
        wrong.extend(of_expression(&variable.expression, &declared, Type::None));
        declared.push(&variable.name);
    }
    for mutation in &spec.mutations {
        let (made, of_type) =
            match (mutation.patch_type.as_str(), &mutation.apply_configuration, &mutation.json_patch) {
                ("ApplyConfiguration", Some(apply), None) => (apply, Type::Object),
                ("JSONPatch", None, Some(patch)) => (patch, Type::JsonPatch),
                _ => panic!("{mutation:?}"),
            };
        wrong.extend(of_expression(&made.expression, &declared, of_type));
    }
    for validation in &spec.validations {
        for expression in [Some(&validation.expression), validation.message_expression.as_ref()] {
            wrong.extend(expression.iter().flat_map(|text| of_expression(text, &declared, Type::None)));
        }
        // The API server refuses a policy without one (validateValidation).
        let several_lines = |text: &String| text.trim().contains('\n');
        if several_lines(&validation.expression.text) && validation.message.is_none() {
            wrong.push(format!("more than one line, and no message: {}", validation.expression.text));
        }
        if validation.message.as_ref().is_some_and(several_lines) {
            wrong.push(format!("more than one line: {:?}", validation.message));
        }
    }
    let reinvocation = if spec.mutations.is_empty() { "" } else { "IfNeeded" };
    if (spec.failure_policy.as_str(), spec.reinvocation_policy.as_str()) != ("Fail", reinvocation) {
        wrong.push(format!("{}: failurePolicy or reinvocationPolicy", policy.metadata.name));
    }
    wrong
}

fn of_expression(expression: &Expression, declared: &[&str], of_type: Type) -> Vec<String> {
    let mut found = names(&expression.tree, &mut Vec::new(), declared);
    found.extend(types(&expression.tree, of_type));
    found.iter().map(|found| format!("{found}, in: {}", expression.text)).collect()
}

/// Functions and variables that are not there.
fn names(tree: &IdedExpr, bound: &mut Vec<String>, declared: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    match &tree.expr {
        Expr::Ident(name) if !bound.contains(name) && !["object", "@result"].contains(&name.as_str()) => {
            found.push(format!("no variable {name}"));
        }
        Expr::Select(select) if matches!(&select.operand.expr, Expr::Ident(name) if name == "variables") => {
            if !declared.contains(&select.field.as_str()) {
                found.push(format!("no variable variables.{}", select.field));
            }
            return found;
        }
        Expr::Call(call) => {
            let is_operator = call.func_name.starts_with(|c: char| !c.is_ascii_alphabetic());
            if !is_operator && !FUNCTIONS.contains(&call.func_name.as_str()) {
                found.push(format!("no function {}", call.func_name));
            }
            if call.func_name == "transformList" {
                let variables = call.args[..2].iter().map(|argument| match &argument.expr {
                    Expr::Ident(name) => name.clone(),
                    other => panic!("{other:?}"),
                });
                bound.extend(variables);
            }
        }
        Expr::Comprehension(comprehension) => bound.push(comprehension.iter_var.clone()),
        _ => {}
    }
    for inner in inner(tree) {
        found.extend(names(inner, bound, declared));
    }
    found
}

/// What type of object an expression makes.
#[derive(Clone, Copy, PartialEq)]
enum Type {
    None,
    Object,
    JsonPatch,
}

fn types(tree: &IdedExpr, expected: Type) -> Vec<String> {
    let made = outermost(tree);
    let mut found = Vec::new();
    for of_type in &made {
        match (expected, of_type.type_name.as_str()) {
            (Type::Object, "Object") => found.extend(fields(of_type)),
            (Type::JsonPatch, "JSONPatch") => found.extend(operation(of_type)),
            (_, name) => found.push(format!("{name} is not what is wanted here")),
        }
    }
    if made.is_empty() && expected != Type::None {
        found.push("it makes nothing".into());
    }
    found
}

/// The objects that an expression makes, without those in their fields.
fn outermost(tree: &IdedExpr) -> Vec<&StructExpr> {
    match &tree.expr {
        Expr::Struct(of_type) => vec![of_type],
        _ => inner(tree).into_iter().flat_map(outermost).collect(),
    }
}

fn entries(of_type: &StructExpr) -> impl Iterator<Item = (&str, &IdedExpr)> {
    of_type.entries.iter().map(|entry| match &entry.expr {
        EntryExpr::StructField(field) => (field.field.as_str(), &field.value),
        entry => panic!("{entry:?}"),
    })
}

/// The type of a field's object is named after the field.
fn fields(of_type: &StructExpr) -> Vec<String> {
    let mut found = Vec::new();
    for (field, value) in entries(of_type) {
        let expected = format!("{}.{field}", of_type.type_name);
        for inner in outermost(value) {
            if inner.type_name != expected {
                found.push(format!("{} in the place of {expected}", inner.type_name));
            }
            found.extend(fields(inner));
        }
    }
    found
}

fn operation(patch: &StructExpr) -> Vec<String> {
    let mut found = Vec::new();
    let path =
        entries(patch).find(|(field, _)| *field == "path").map(|(_, path)| words(path)).unwrap_or_default();
    for (field, value) in entries(patch) {
        match field {
            "op" | "path" | "from" if outermost(value).is_empty() => {}
            // kube-apiserver 1.36.2 panics at a list of objects.
            "value" => match &value.expr {
                Expr::Struct(value) => {
                    // Named after its place, without the number in a list.
                    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
                    let expected = format!("Object.{}", names.join("."));
                    if value.type_name != expected {
                        found.push(format!("{} in the place of {expected}", value.type_name));
                    }
                    found.extend(fields(value));
                }
                _ if outermost(value).is_empty() => {}
                _ => found.push("a value: that is a list of objects".into()),
            },
            field => found.push(format!("JSONPatch has no such {field}")),
        }
    }
    found
}

/// The literals of a text that is put together.
fn words(tree: &IdedExpr) -> String {
    match &tree.expr {
        Expr::Literal(LiteralValue::String(word)) => word.inner().to_owned(),
        _ => inner(tree).into_iter().map(words).collect(),
    }
}

#[test]
fn what_a_run_over_pods_may_not_show_is_seen_in_the_expressions() {
    let caps = "capabilities{\n                drop: [\"ALL\"], add: variables.caps.map(cap, cap.upperAscii())\n              }";
    let list = format!("[Object.spec.containers.securityContext.{caps}]");
    let lower = "object.metadata.labels['capshim.internal/caps'].lowerAscii()";
    for (file, from, to, says) in [
        ("inject.yaml", "failurePolicy: Fail", "failurePolicy: Ignore", "failurePolicy"),
        ("validate.yaml", "failurePolicy: Fail", "failurePolicy: Ignore", "failurePolicy"),
        ("guard.yaml", "failurePolicy: Fail", "failurePolicy: Ignore", "failurePolicy"),
        ("inject.yaml", "reinvocationPolicy: IfNeeded", "reinvocationPolicy: Never", "reinvocationPolicy"),
        (
            "inject.yaml",
            "containers.env{",
            "containers.envs{",
            "envs in the place of Object.spec.containers.env",
        ),
        (
            "inject.yaml",
            "containers.securityContext{",
            "securityContext{",
            "Object.spec.securityContext in the place of",
        ),
        ("inject.yaml", "capabilities{\n", "capability{\n", "capability in the place of"),
        ("inject.yaml", "JSONPatch{\n", "JSONPatch{operation: \"\",\n", "JSONPatch has no such operation"),
        (
            "inject.yaml",
            &format!("Object.spec.containers.securityContext.{caps}"),
            &list,
            "a list of objects",
        ),
        ("inject.yaml", &format!("{lower}.split('.')"), "Object{}", "Object is not what is wanted here"),
        ("inject.yaml", "variables.caps.join", "variables.cap.join", "no variable variables.cap"),
        (
            "inject.yaml",
            "not-yet\n      expression: \"",
            "not-yet\n      expression: \"variables.caps == [] || ",
            "no variable variables.caps",
        ),
        ("inject.yaml", "c.name in variables.names", "d.name in variables.names", "no variable d"),
        ("inject.yaml", "cap.upperAscii()", "cap.toUpper()", "no function toUpper"),
        (
            "validate.yaml",
            "|| variables.silent.size()",
            "||\n\n variables.silent.size()",
            "more than one line, and no message",
        ),
    ] {
        let objects = policy::load(&[file], &[(file, from, to)]);
        let found: Vec<String> = objects.iter().filter(|object| object.is_policy()).flat_map(wrong).collect();
        assert!(found.iter().any(|found| found.contains(says)), "{says}: {found:?}");
    }
}
