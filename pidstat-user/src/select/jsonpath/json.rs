//! A JSON document in memory is one that can be queried.

use super::{Document, Shape};
use crate::select::expr::Operand;
use serde_json::Value;

impl<'d> Document for &'d Value {
    type Place = &'d Value;

    fn root(&self) -> &'d Value {
        self
    }

    fn shape(&self, place: &'d Value) -> Shape {
        match place {
            Value::Object(_) => Shape::Object,
            Value::Array(_) => Shape::List,
            _ => Shape::Scalar,
        }
    }

    fn len(&self, place: &'d Value) -> usize {
        match place {
            Value::Object(members) => members.len(),
            Value::Array(elements) => elements.len(),
            _ => 0,
        }
    }

    fn children(&self, place: &'d Value, out: &mut Vec<&'d Value>) {
        match place {
            Value::Object(members) => out.extend(members.values()),
            Value::Array(elements) => out.extend(elements),
            _ => {}
        }
    }

    fn name(&self, place: &'d Value, at: usize) -> Option<String> {
        place.as_object().and_then(|members| members.keys().nth(at).cloned())
    }

    fn member(&self, place: &'d Value, name: &str) -> Option<&'d Value> {
        place.as_object().and_then(|members| members.get(name))
    }

    fn element(&self, place: &'d Value, at: usize) -> Option<&'d Value> {
        place.as_array().and_then(|elements| elements.get(at))
    }

    fn scalar(&self, place: &'d Value) -> Operand<'_> {
        match place {
            Value::Bool(truth) => Operand::Truth(*truth),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => Operand::Integer(number.into()),
                (_, Some(number)) => Operand::Integer(number.into()),
                _ => number.as_f64().map_or(Operand::Missing, Operand::number),
            },
            Value::String(text) => Operand::text(text),
            _ => Operand::Null,
        }
    }
}
