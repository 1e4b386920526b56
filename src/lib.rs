//! `desktop-deletion-operator`: deletes Huawei Cloud Workspace desktops because somebody applied a
//! `DesktopDeletion`, submits each batch at most once, and always says why.

pub mod cli;
pub mod clock;
pub mod config;
pub mod controllers;
pub mod crd;
pub mod ids;
pub mod operator;
pub mod plan;
pub mod workspace;
