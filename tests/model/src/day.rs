//! A second world, in which two requests compete for a daily limit: which one reserves, which one is faster, which one
//! is interrupted between the reservation and the call, and what is released.
//!
//! The decision, what a reservation is, and how one is settled are the shipped ones. The rest of a request's life is as
//! small as possible: its desktops exist, an intent can be stored, a call takes effect or not, and a call whose
//! response was lost is settled by its outcome once it can no longer be made. No day passes: earlier submissions
//! continue to count.
//!
//! | module | what |
//! | --- | --- |
//! | [`world`] | one state |
//! | [`decide`] | from a state to the shipped decision and back |
//! | [`moves`] | what can happen, and what the world is like then |
//! | [`calm`] | that nothing stays reserved, and that no request waits where there is room |
//! | [`search`] | the search |

pub mod calm;
pub mod decide;
pub mod moves;
pub mod search;
pub mod world;
