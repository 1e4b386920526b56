//! The mutants.
//!
//! | file | what they lack |
//! | --- | --- |
//! | `before` | what stands between the decision to submit and the call |
//! | `approvals` | that approved desktops are deleted and no others |
//! | `daily_limit` | that a project does not submit more than it takes within a day |
//! | `call` | that the call is made once, and that its answer is not misread |
//! | `record` | that what came of it is kept |
//! | `after` | patience and evidence, where the answer was lost |
//! | `time` | which clocks are believed, and the finalizer |

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
