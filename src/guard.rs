//! The one guard around code of others that panics where it should refuse.
//!
//! Invariant: what panics within is told as an error and printed by nobody; every other panic is
//! printed as before.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Whether this thread is within a guard.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Puts a hook before that of the process, which keeps quiet within guards.
fn keep_quiet() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                before(panic);
            }
        }));
    });
}

/// Runs `work`; what it panics with, if it does.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    keep_quiet();
    let outer = GUARDED.replace(true);
    // What `work` may leave half done is dropped with it, or only read from.
    let result = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(outer);
    result.map_err(|panic| said(&*panic))
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a fault without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::{GUARDED, guarded};

    #[test]
    fn a_panic_becomes_its_message_and_guards_nest() {
        assert_eq!(guarded(|| 3), Ok(3));
        let inner = guarded(|| {
            let inner = guarded(|| panic!("deep {}", 1));
            (inner, GUARDED.get())
        });
        assert_eq!(inner, Ok((Err::<(), _>("deep 1".to_owned()), true)));
        assert!(!GUARDED.get());
        let silent = guarded(|| -> () { std::panic::panic_any(7) });
        assert_eq!(silent.unwrap_err(), "a fault without a message");
        // Outside, a panic goes its way.
        assert!(catch_unwind(|| panic!("seen")).is_err());
    }
}
