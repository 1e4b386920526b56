//! The decision, called through its public functions: tables of situations for reviewers, and generated properties.
//!
//! | module | what |
//! | --- | --- |
//! | `build` | situations in a short notation |
//! | `tell` | steps as text, and the tables that compare them |
//! | `rules` | what every status must satisfy: the rules of the CRD and those of the conditions |
//! | `observed` | how states of desktops and jobs in the service are classified |
//! | `error_policy` | every error that the vendor's API reference names, and what is done about it |
//! | `admission`, `overlap`, `submission`, `recovery`, `job`, `finalize`, `finalizer`, `resolve` | tables: situation, next step |
//! | `conditions` | what the conditions say in each situation of these tables |
//! | `daily_usage` | what counts against the limit of a day, and until when |
//! | `status` | the legal transitions of the status |
//! | `deadlines`, `windows` | the rules about time |
//! | `arbitrary`, `properties` | any situation that the status can be in, and what no step may do in it |
//! | `walk` | a process, an API server and a cloud in which anything goes wrong, and what must hold all the same |

mod admission;
mod arbitrary;
pub(crate) mod build;
mod conditions;
mod daily_usage;
mod deadlines;
mod error_policy;
mod finalize;
mod finalizer;
mod job;
mod observed;
mod overlap;
mod properties;
mod recovery;
mod resolve;
mod rules;
mod status;
mod submission;
mod tell;
mod walk;
mod windows;
