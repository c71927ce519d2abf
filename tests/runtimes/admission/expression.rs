//! CEL as an API server has it, on an interpreter without three of its parts, which are put into
//! others here, in the parsed tree:
//!
//! - `Type{field: value}` becomes a map. Which type stands where, [`super::shape`] checks before.
//! - `list.transformList(i, x, filter, result)` becomes a comprehension over `lists.range(...)`, with
//!   `list[i]` for `x`.
//! - `variables` is a map of those that could be evaluated: the use of another is then an error, as
//!   it is where they are evaluated at their first use.

use std::fmt;

use kube_cel::KubeCelExt;
use kube_cel::cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr, ListExpr, LiteralValue,
    MapEntryExpr, MapExpr, SelectExpr, StructExpr, operators,
};
use kube_cel::cel::objects::Key;
use kube_cel::cel::parser::Parser;
use kube_cel::cel::{Context, Value};
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;

#[derive(Clone, Default)]
pub struct Expression {
    pub text: String,
    /// As it was parsed.
    pub tree: IdedExpr,
    /// What the interpreter runs.
    translated: IdedExpr,
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Expression, D::Error> {
        let text = String::deserialize(deserializer)?;
        let tree = Parser::new().parse(&text).map_err(serde::de::Error::custom)?;
        let translated = translated(&tree);
        Ok(Expression { text, tree, translated })
    }
}

impl Expression {
    pub fn evaluate(&self, object: &Json, variables: &Json) -> Result<Json, String> {
        let mut context = Context::default().with_all();
        context.add_variable("object", object).expect("a value");
        context.add_variable("variables", variables).expect("a value");
        let value = Value::resolve(&self.translated, &context);
        value.map(|value| json(&value)).map_err(|error| format!("{error}, in: {}", self.text))
    }

    pub fn evaluate_bool(&self, object: &Json, variables: &Json) -> Result<bool, String> {
        let value = self.evaluate(object, variables)?;
        value.as_bool().ok_or(format!("{value} is no bool: {}", self.text))
    }
}

fn json(value: &Value) -> Json {
    match value {
        Value::List(list) => list.iter().map(json).collect(),
        Value::Map(map) => {
            let name = |key: &Key| match key {
                Key::String(name) => name.to_string(),
                key => panic!("{key:?}"),
            };
            Json::Object(map.map.iter().map(|(key, value)| (name(key), json(value))).collect())
        }
        Value::Int(number) => (*number).into(),
        Value::UInt(number) => (*number).into(),
        Value::String(text) => text.as_str().into(),
        Value::Bool(value) => (*value).into(),
        Value::Null => Json::Null,
        value => panic!("{value:?}"),
    }
}

fn node(expr: Expr) -> IdedExpr {
    IdedExpr { id: 0, expr }
}

fn ident(name: &str) -> IdedExpr {
    node(Expr::Ident(name.to_owned()))
}

fn call(name: &str, target: Option<IdedExpr>, args: Vec<IdedExpr>) -> IdedExpr {
    node(Expr::Call(CallExpr { func_name: name.to_owned(), target: target.map(Box::new), args }))
}

fn list(elements: Vec<IdedExpr>) -> IdedExpr {
    node(Expr::List(ListExpr::new(elements)))
}

/// The expressions that one has in it.
pub fn inner(tree: &IdedExpr) -> Vec<&IdedExpr> {
    match &tree.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
        Expr::Call(call) => call.target.iter().map(|target| &**target).chain(&call.args).collect(),
        Expr::Comprehension(comprehension) => vec![
            &comprehension.iter_range,
            &comprehension.accu_init,
            &comprehension.loop_cond,
            &comprehension.loop_step,
            &comprehension.result,
        ],
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(MapExpr { entries }) | Expr::Struct(StructExpr { entries, .. }) => entries
            .iter()
            .flat_map(|entry| match &entry.expr {
                EntryExpr::StructField(field) => vec![&field.value],
                EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
            })
            .collect(),
        Expr::Select(select) => vec![&select.operand],
    }
}

/// The same expression with others in the place of those in it.
fn with_inner(tree: &IdedExpr, change: &dyn Fn(&IdedExpr) -> IdedExpr) -> IdedExpr {
    let entries = |entries: &[IdedEntryExpr]| {
        let changed = entries.iter().cloned().map(|mut entry| {
            match &mut entry.expr {
                EntryExpr::StructField(field) => field.value = change(&field.value),
                EntryExpr::MapEntry(entry) => {
                    entry.key = change(&entry.key);
                    entry.value = change(&entry.value);
                }
            }
            entry
        });
        changed.collect()
    };
    node(match &tree.expr {
        expr @ (Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_)) => expr.clone(),
        Expr::Call(call) => Expr::Call(CallExpr {
            func_name: call.func_name.clone(),
            target: call.target.as_ref().map(|target| Box::new(change(target))),
            args: call.args.iter().map(change).collect(),
        }),
        Expr::Comprehension(comprehension) => Expr::Comprehension(Box::new(ComprehensionExpr {
            iter_range: change(&comprehension.iter_range),
            accu_init: change(&comprehension.accu_init),
            loop_cond: change(&comprehension.loop_cond),
            loop_step: change(&comprehension.loop_step),
            result: change(&comprehension.result),
            ..(**comprehension).clone()
        })),
        Expr::List(elements) => Expr::List(ListExpr::new(elements.elements.iter().map(change).collect())),
        Expr::Map(map) => Expr::Map(MapExpr { entries: entries(&map.entries) }),
        Expr::Struct(of_type) => Expr::Struct(StructExpr {
            type_name: of_type.type_name.clone(),
            entries: entries(&of_type.entries),
        }),
        Expr::Select(select) => Expr::Select(SelectExpr {
            operand: Box::new(change(&select.operand)),
            field: select.field.clone(),
            test: select.test,
        }),
    })
}

/// What the interpreter can run.
fn translated(tree: &IdedExpr) -> IdedExpr {
    let tree = with_inner(tree, &translated);
    match &tree.expr {
        Expr::Struct(of_type) => node(Expr::Map(as_map(of_type))),
        Expr::Call(CallExpr { func_name, target: Some(list), args }) if func_name == "transformList" => {
            let (filter, args) = match &args[..] {
                [index, element, filter, result] => (Some(filter), [index, element, result]),
                [index, element, result] => (None, [index, element, result]),
                _ => panic!("transformList has three or four arguments"),
            };
            transform_list(list, filter, args)
        }
        _ => tree,
    }
}

fn as_map(of_type: &StructExpr) -> MapExpr {
    let entries = of_type.entries.iter().map(|entry| {
        let EntryExpr::StructField(field) = &entry.expr else { panic!("no field: {entry:?}") };
        let key = node(Expr::Literal(LiteralValue::String(field.field.as_str().into())));
        let entry = MapEntryExpr { key, value: field.value.clone(), optional: false };
        IdedEntryExpr { id: 0, expr: EntryExpr::MapEntry(entry) }
    });
    MapExpr { entries: entries.collect() }
}

fn transform_list(
    range: &IdedExpr,
    filter: Option<&IdedExpr>,
    [index, element, result]: [&IdedExpr; 3],
) -> IdedExpr {
    let name = |variable: &IdedExpr| match &variable.expr {
        Expr::Ident(name) => name.clone(),
        other => panic!("{other:?} is no name"),
    };
    let at = call(operators::INDEX, None, vec![range.clone(), index.clone()]);
    let with_element = |tree: &IdedExpr| substituted(tree, &name(element), &at);
    let so_far = || ident("@result");
    let longer = call(operators::ADD, None, vec![so_far(), list(vec![with_element(result)])]);
    let step = match filter {
        None => longer,
        Some(filter) => call(operators::CONDITIONAL, None, vec![with_element(filter), longer, so_far()]),
    };
    let size = call("size", Some(range.clone()), Vec::new());
    node(Expr::Comprehension(Box::new(ComprehensionExpr {
        iter_range: call("range", Some(ident("lists")), vec![size]),
        iter_var: name(index),
        iter_var2: None,
        accu_var: "@result".into(),
        accu_init: list(Vec::new()),
        loop_cond: node(Expr::Literal(LiteralValue::Boolean(true.into()))),
        loop_step: step,
        result: so_far(),
    })))
}

fn substituted(tree: &IdedExpr, variable: &str, value: &IdedExpr) -> IdedExpr {
    match &tree.expr {
        Expr::Ident(name) if name == variable => value.clone(),
        Expr::Comprehension(inner) => {
            assert_ne!(inner.iter_var, variable, "one name for two variables");
            with_inner(tree, &|inner| substituted(inner, variable, value))
        }
        _ => with_inner(tree, &|inner| substituted(inner, variable, value)),
    }
}
