//! The mutants.
//!
//! | file | what they lack |
//! | --- | --- |
//! | `before` | what stands between the decision to submit and the call |
//! | `call` | that the call is made once, and that its answer is not misread |
//! | `record` | that what came of it is kept |
//! | `after` | patience and evidence, where the answer was lost |

use crate::Mutant;

mod after;
mod before;
mod call;
mod record;

/// Every mutant, in the order of the protocol.
pub fn mutants() -> impl Iterator<Item = &'static Mutant> {
    [before::MUTANTS, call::MUTANTS, record::MUTANTS, after::MUTANTS]
        .into_iter()
        .flatten()
}
