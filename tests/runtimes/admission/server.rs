//! What an API server asks the policies about an object that is created.

use serde_json::{Value, json};

use super::apply;
use super::policy::{Object, Validation};

/// The object as it is stored, or the messages of those that refuse it.
pub fn admit(objects: &[Object], object: &Value) -> Result<Value, Vec<String>> {
    let policies = || objects.iter().filter(|policy| policy.is_policy());
    let mut object = object.clone();
    for policy in policies().filter(|policy| !policy.spec.mutations.is_empty()) {
        mutate(policy, &mut object).map_err(|error| vec![error])?;
    }
    // As if another policy had changed it meanwhile (reinvocationPolicy: IfNeeded).
    for policy in policies().filter(|policy| !policy.spec.mutations.is_empty()) {
        mutate(policy, &mut object).map_err(|error| vec![error])?;
    }
    let refused: Vec<String> = policies().flat_map(|policy| refusals(policy, &object)).collect();
    if refused.is_empty() { Ok(object) } else { Err(refused) }
}

/// With failurePolicy: Fail an error refuses the object.
fn is_asked(policy: &Object, object: &Value) -> Result<bool, String> {
    let mut asked = policy.matches(object);
    for condition in &policy.spec.match_conditions {
        asked = asked && condition.expression.evaluate_bool(object, &json!({}))?;
    }
    Ok(asked)
}

fn variables(policy: &Object, object: &Value) -> Value {
    let mut variables = json!({});
    for variable in &policy.spec.variables {
        if let Ok(value) = variable.expression.evaluate(object, &variables) {
            variables[&variable.name] = value;
        }
    }
    variables
}

fn mutate(policy: &Object, object: &mut Value) -> Result<(), String> {
    if !is_asked(policy, object)? {
        return Ok(());
    }
    // Each mutation is made of what the one before left.
    for mutation in &policy.spec.mutations {
        let variables = variables(policy, object);
        if let Some(configuration) = &mutation.apply_configuration {
            let made = configuration.expression.evaluate(object, &variables)?;
            apply::configuration(object, &made)?;
        }
        if let Some(patch) = &mutation.json_patch {
            let made = patch.expression.evaluate(object, &variables)?;
            apply::patch(object, &made)?;
        }
    }
    Ok(())
}

fn refusals(policy: &Object, object: &Value) -> Vec<String> {
    match is_asked(policy, object) {
        Ok(false) => return Vec::new(),
        Ok(true) => {}
        Err(error) => return vec![error],
    }
    let variables = variables(policy, object);
    let refusal = |validation: &Validation| match validation.expression.evaluate_bool(object, &variables) {
        Ok(true) => None,
        Ok(false) => Some(match &validation.message_expression {
            None => validation.message.clone().expect("a message"),
            Some(message) => match message.evaluate(object, &variables) {
                Ok(Value::String(made)) => made,
                other => format!("no message: {other:?}"),
            },
        }),
        Err(error) => Some(error),
    };
    policy.spec.validations.iter().filter_map(refusal).collect()
}
