//! The columns of a Parquet file: their types, and the values of a group that is not written yet.

use crate::sample::node::{Column, Kind, Value};
use parquet::{
    basic::{LogicalType, Repetition, Type as Physical},
    data_type::{ByteArray, ByteArrayType, Int64Type},
    errors::ParquetError,
    file::writer::SerializedColumnWriter,
    schema::types::Type,
};
use std::sync::Arc;

/// A column's values; a level of 0 stands for a missing one.
pub(super) struct Cells {
    values: Values,
    levels: Vec<i16>,
}

enum Values {
    Numbers(Vec<i64>),
    /// Numbers of 64 bits without a sign.
    Masks(Vec<i64>),
    Texts(Vec<ByteArray>),
}

impl Cells {
    pub fn new(column: &Column) -> Cells {
        let values = match column.kind {
            Kind::Integer => Values::Numbers(Vec::new()),
            Kind::Mask => Values::Masks(Vec::new()),
            Kind::Text | Kind::List => Values::Texts(Vec::new()),
        };
        Cells { values, levels: Vec::new() }
    }

    /// Takes the value of a row.
    pub fn add(&mut self, value: &Value) {
        let there = match (&mut self.values, value) {
            (Values::Numbers(numbers) | Values::Masks(numbers), Value::Integer(number)) => {
                numbers.push(*number);
                true
            }
            (Values::Masks(numbers), Value::Large(number)) => {
                numbers.push(number.cast_signed());
                true
            }
            (Values::Texts(texts), Value::Text(text)) => {
                texts.push(text.as_bytes().to_vec().into());
                true
            }
            (Values::Texts(texts), Value::List(numbers)) => {
                texts.push(Value::one_text(numbers).into_bytes().into());
                true
            }
            _ => false,
        };
        self.levels.push(there.into());
    }

    /// Writes what was taken, and forgets it.
    pub fn write(&mut self, mut column: SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        let levels = Some(self.levels.as_slice());
        match &mut self.values {
            Values::Numbers(numbers) | Values::Masks(numbers) => {
                column.typed::<Int64Type>().write_batch(numbers, levels, None)?;
                numbers.clear();
            }
            Values::Texts(texts) => {
                column.typed::<ByteArrayType>().write_batch(texts, levels, None)?;
                texts.clear();
            }
        }
        self.levels.clear();
        column.close()
    }
}

/// The names and types of the columns: those of the table in SQLite, and masks as what they are.
pub fn schema(columns: &[Column]) -> Result<Type, ParquetError> {
    let of = |name: &str, physical, repetition, logical| {
        let primitive = Type::primitive_type_builder(name, physical).with_repetition(repetition);
        primitive.with_logical_type(logical).build().map(Arc::new)
    };
    let mut fields = vec![
        of("record_id", Physical::INT64, Repetition::REQUIRED, None)?,
        of("ts", Physical::DOUBLE, Repetition::REQUIRED, None)?,
    ];
    for column in columns {
        let (physical, logical) = match column.kind {
            Kind::Integer => (Physical::INT64, None),
            Kind::Mask => (Physical::INT64, Some(LogicalType::integer(64, false))),
            Kind::Text | Kind::List => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        };
        fields.push(of(&column.name, physical, Repetition::OPTIONAL, logical)?);
    }
    Type::group_type_builder("record").with_fields(fields).build()
}
