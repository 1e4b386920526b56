//! Runs the operator's controllers, as they are shipped, in a world that is generated from one seed: an API server and
//! a cloud that are pure functions, a paused clock, and random faults of calls, crashes of operators and actions of
//! users. In the end there are no more faults, everything must settle, and the invariants are judged.
//!
//! | module | what |
//! | --- | --- |
//! | [`scenario`] | what a seed is about |
//! | [`faults`], [`acts`], [`mutant`] | what goes wrong, what happens meanwhile, what is broken on purpose |
//! | [`answers`] | a grammar of responses of the cloud that no documentation promises |
//! | [`world`] | what happens next: calls on their way, watches, actions |
//! | [`api_server`] | the API server |
//! | [`lines`], [`operators`] | what operators talk through, and how they are started |
//! | [`run`] | one seed, from begin to end |
//! | [`judge`], [`facts`] | what happened, as the invariants want it |
//! | [`story`] | what happened, for people |
//! | `panics` | panics of the operators |
//! | [`dice`], [`clock`], [`calls`] | random numbers, time, and names for calls |

use mimalloc::MiMalloc;

pub mod acts;
pub mod answers;
pub mod api_server;
mod brief;
pub mod calls;
pub mod clock;
pub mod dice;
pub mod facts;
pub mod faults;
pub mod judge;
pub mod lines;
pub mod mutant;
pub mod operators;
mod panics;
pub mod run;
pub mod scenario;
pub mod story;
pub mod world;

/// As in the operator, and for the same reason.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;
