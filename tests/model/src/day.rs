//! A second world, in which two requests want more than their project takes within a day: who reserves, who is faster, who is
//! interrupted between the reservation and the call, and what is given back.
//!
//! The decision, what a reservation is, and how one is settled are the shipped ones. The rest of a request's life is as small
//! as it can be: its desktops are there, an intent can be stored, a call takes effect or not, and a call whose answer was lost
//! is settled by what came of it once nobody can make it any more. No day passes: what was submitted goes on counting.
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
