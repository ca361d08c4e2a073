//! A decoder's panics as values: damaged bytes can make it panic, which is no fault to report to
//! this program's authors.
//!
//! Invariant: panics of anything else are printed as before.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Whether this thread is decoding.
    static DECODING: Cell<bool> = const { Cell::new(false) };
}

/// What `decode` returns, or `None` where it panicked, of which nothing is printed. What it worked on
/// is not to be used again.
pub(super) fn caught<T>(decode: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !DECODING.get() {
                before(panic);
            }
        }));
    });
    DECODING.set(true);
    let decoded = catch_unwind(AssertUnwindSafe(decode)).ok();
    DECODING.set(false);
    decoded
}
