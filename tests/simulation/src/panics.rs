//! Panics of the operators. The runtime ends a task that panics and does not report it to its caller, so they are
//! counted in the panic hook. A task of a process that is killed unwinds without a report.

use std::cell::RefCell;
use std::panic;
use std::sync::Once;

thread_local! {
    static HEARD: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Begins to listen on this thread, and forgets what was heard before.
pub(crate) fn listen() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |report| {
            HEARD.with_borrow_mut(|heard| heard.push(report.to_string()));
            before(report);
        }));
    });
    take();
}

/// What was heard on this thread since.
pub(crate) fn take() -> Vec<String> {
    HEARD.take()
}
