//! Checks the operator's decisions against every order of events, in a world small enough to be searched.
//!
//! The decision function and the moves of the status are the shipped ones; only the world around them is modelled.
//!
//! | module | what |
//! | --- | --- |
//! | [`world`] | one state: API server, operators, cloud, messages in flight, ages |
//! | [`decide`] | from a state to the shipped decision and back |
//! | [`time`], [`service_clock`], [`remembered`] | the shipped rules about time, clocks and memory, in ticks |
//! | [`action`], [`moves`] | what can happen, and what the world is like then |
//! | [`judge`], [`calm`] | the events that the invariants judge; and that every path settles once nothing goes wrong any more |
//! | [`search`] | the search by `stateright`, and what it covered |
//! | [`story`] | a path as text |
//! | [`config`] | the size of the world, and its mutants |
//! | [`day`] | a second, smaller world: the limit of a day |
//! | [`names`], [`requests`], [`cache`] | small numbers for large values, and cached results |

pub mod action;
pub mod cache;
pub mod calm;
pub mod config;
pub mod day;
pub mod decide;
pub mod judge;
pub mod moves;
pub mod names;
pub mod remembered;
pub mod requests;
pub mod search;
pub mod service_clock;
pub mod story;
pub mod time;
pub mod world;
