//! The test kit itself, tried out; one binary, so that all of it shares one control plane.

mod api_proxy;
mod canary;
mod cloud;
mod control_plane;
mod deploy;
mod operator;
