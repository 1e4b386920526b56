//! `desktop-deletion-operator`: deletes Huawei Cloud Workspace desktops because somebody applied a
//! `DesktopDeletion`, submits each batch at most once, and always says why.

pub mod clock;
pub mod crd;
pub mod ids;
pub mod workspace;
