//! A simulated Huawei Cloud Workspace, with the IAM and the API gateway that belong to it.
//!
//! - [`world`]: the world file, everything that can be set
//! - [`cloud`]: the pure core, `handle(now, request) -> answer`
//! - [`serve`]: the core behind TLS, with an admin API beside it

pub mod cloud;
mod digest;
mod server;
pub mod world;

pub use server::{Error, Options, Running, serve};
