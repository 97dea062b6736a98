//! The environment of a chat template: the functions, filters and tests of Jinja2 and transformers.

use minijinja::{
    Environment, Error, ErrorKind, Value,
    syntax::SyntaxConfig,
    value::{Rest, ValueKind},
};
use minijinja_contrib::globals;

use super::{dialect, filters, json, methods, python, strftime};

/// The number of instructions that a rendering may execute. They take seconds, and templates need far fewer.
const FUEL: u64 = 50_000_000;

/// Creates an environment like that of transformers: Jinja2's sandbox with the additions of transformers.
pub(super) fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_fuel(Some(FUEL));
    environment.set_formatter(python::write);
    environment.set_unknown_method_callback(methods::call);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", |format: &str| strftime::now(format));
    environment.add_function(dialect::MODULO, python::modulo);
    environment.add_function("cycler", |items: Rest<Value>| globals::cycler(items.to_vec()));
    environment.add_function("joiner", globals::joiner);
    environment.add_filter("tojson", json::tojson);
    filters::add(&mut environment);
    environment.add_test("sequence", is_sequence);
    environment.add_test("iterable", |value: &Value| !value.is_none() && value.try_iter().is_ok());
    environment.add_test("callable", |value: &Value| value.kind() == ValueKind::Plain);
    Ok(environment)
}

fn raise_exception(message: &Value) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message.to_string()))
}

/// Returns true if a value has a length and items. As in Jinja2, this includes strings, mappings and undefined values.
fn is_sequence(value: &Value) -> bool {
    value.is_undefined() || (!value.is_none() && value.len().is_some())
}
