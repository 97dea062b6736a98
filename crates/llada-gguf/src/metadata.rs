//! The values of a file's metadata.

use crate::cursor::Cursor;

/// A value of the metadata. Numbers of all widths are one kind each.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// An integer without a sign in the file.
    Unsigned(u64),
    /// An integer with a sign in the file.
    Signed(i64),
    /// A float; one of 32 bits has the value that it has there.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A text.
    Text(String),
    /// A list of values of one type.
    List(Vec<Value>),
}

/// The bytes that a value of each type takes at least, by the number of the type.
const LEAST: [usize; 13] = [1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8];

const LIST: u32 = 9;

/// The most values of a list, far more than any vocabulary has: in memory a value takes many times its bytes.
const LONGEST: usize = 1 << 24;

/// Reads a value with its type in front.
pub(crate) fn read(cursor: &mut Cursor<'_>) -> Result<Value, String> {
    let kind = cursor.u32("the type of a value")?;
    if kind != LIST {
        return scalar(cursor, kind);
    }
    let kind = cursor.u32("the type of a list's values")?;
    let least = match LEAST.get(kind as usize) {
        Some(_) if kind == LIST => return Err("a list of lists is not read".to_owned()),
        Some(&least) => least,
        None => return Err(format!("a value's type is {kind}, which there is not")),
    };
    let count = cursor.count(least, "the length of a list")?;
    if count > LONGEST {
        return Err(format!("a list of {count} values, and {LONGEST} at most are read"));
    }
    let values: Result<Vec<Value>, String> = (0..count).map(|_| scalar(cursor, kind)).collect();
    Ok(Value::List(values?))
}

fn scalar(cursor: &mut Cursor<'_>, kind: u32) -> Result<Value, String> {
    let what = "a value";
    Ok(match kind {
        0 => Value::Unsigned(u8::from_le_bytes(cursor.array(what)?).into()),
        1 => Value::Signed(i8::from_le_bytes(cursor.array(what)?).into()),
        2 => Value::Unsigned(u16::from_le_bytes(cursor.array(what)?).into()),
        3 => Value::Signed(i16::from_le_bytes(cursor.array(what)?).into()),
        4 => Value::Unsigned(u32::from_le_bytes(cursor.array(what)?).into()),
        5 => Value::Signed(i32::from_le_bytes(cursor.array(what)?).into()),
        6 => Value::Float(f32::from_le_bytes(cursor.array(what)?).into()),
        7 => Value::Bool(cursor.array::<1>(what)? != [0]),
        8 => Value::Text(cursor.text("a text")?.to_owned()),
        10 => Value::Unsigned(u64::from_le_bytes(cursor.array(what)?)),
        11 => Value::Signed(i64::from_le_bytes(cursor.array(what)?)),
        12 => Value::Float(f64::from_le_bytes(cursor.array(what)?)),
        _ => return Err(format!("a value's type is {kind}, which there is not")),
    })
}

impl Value {
    /// Returns an integer that is not negative, whatever its type in the file.
    pub fn unsigned(&self) -> Option<u64> {
        match *self {
            Self::Unsigned(value) => Some(value),
            Self::Signed(value) => u64::try_from(value).ok(),
            _ => None,
        }
    }

    /// Returns a float, or none for other kinds.
    pub fn float(&self) -> Option<f64> {
        if let Self::Float(value) = *self { Some(value) } else { None }
    }

    /// Returns a truth value, or none for other kinds.
    pub fn bool(&self) -> Option<bool> {
        if let Self::Bool(value) = *self { Some(value) } else { None }
    }

    /// Returns a text, or none for other kinds.
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(value) = self { Some(value) } else { None }
    }

    /// Returns the values of a list, or none for other kinds.
    pub fn list(&self) -> Option<&[Self]> {
        if let Self::List(values) = self { Some(values) } else { None }
    }
}
