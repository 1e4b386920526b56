//! The mutants.
//!
//! | file | the mechanism that they lack |
//! | --- | --- |
//! | `before` | the checks between the decision to submit and the call |
//! | `approvals` | that approved desktops are deleted and no others |
//! | `daily_limit` | that a project does not exceed its daily limit |
//! | `call` | that the call is made once, and that its response is not misread |
//! | `record` | that the outcome of the call is recorded |
//! | `after` | the wait for the expiry and the evidence, if the response was lost |
//! | `time` | which clocks are trusted, and the finalizer |

use crate::Mutant;

mod after;
mod approvals;
mod before;
mod call;
mod daily_limit;
mod record;
mod time;

/// Every mutant, in the order of the protocol.
pub fn mutants() -> impl Iterator<Item = &'static Mutant> {
    [
        before::MUTANTS,
        approvals::MUTANTS,
        daily_limit::MUTANTS,
        call::MUTANTS,
        record::MUTANTS,
        after::MUTANTS,
        time::MUTANTS,
    ]
    .into_iter()
    .flatten()
}
