//! A guard around third-party libraries that panic on the content of a file: it turns their panics into errors and
//! suppresses their output.

use std::{
    any::Any,
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
    sync::Once,
};

use crate::ModelError;

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Returns the result of `work`, or an error about `what` with the panic's message if `work` panics.
///
/// The unwind safety is up to the caller: after a panic, values that `work` may have left half changed must be dropped.
///
/// # Errors
/// `work` panicked.
pub fn guarded<T>(what: &str, work: impl FnOnce() -> T) -> Result<T, ModelError> {
    // The hook replaces the global one, so it passes on the panics of all code that is not guarded.
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let report = take_hook();
        set_hook(Box::new(move |info| {
            if !IS_GUARDED.get() {
                report(info);
            }
        }));
    });
    let was_guarded = IS_GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    IS_GUARDED.set(was_guarded);
    result.map_err(|payload| ModelError::Panicked { what: what.to_owned(), message: message(payload.as_ref()) })
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::unwrap_used, reason = "the panic is what is tested")]
    fn a_panic_is_an_error_with_its_message() {
        assert_eq!(guarded("a file", || 1).unwrap(), 1);
        let error = guarded("a file", || Vec::<u8>::new()[3]).unwrap_err().to_string();
        assert!(error.contains("a file") && error.contains("index out of bounds"), "{error}");
        let error = guarded("a file", || guarded("a part", || panic!("deep")).unwrap_err().to_string()).unwrap();
        assert!(error.contains("a part") && error.contains("deep"), "{error}");
    }
}
