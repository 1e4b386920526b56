//! All known clocks, in one value.

use super::api::ApiServerClock;
use crate::clock::{Clock, Uptime};
use crate::cloud::session::ServiceClocks;
use crate::plan::clocks::Clocks;

/// The sources of all clocks; clones read the same clocks.
#[derive(Debug, Clone)]
pub struct ClockSources {
    /// Time since the start of the process.
    pub uptime: Uptime,
    /// This machine's clock.
    pub local: Clock,
    /// The clocks of the services.
    pub services: ServiceClocks,
    /// The API server's clock.
    pub api_server: ApiServerClock,
}

impl ClockSources {
    /// All clocks now, for a request to `endpoint`.
    pub fn now(&self, endpoint: Option<&str>) -> Clocks {
        Clocks {
            uptime: self.uptime.now(),
            local: self.local.now(),
            service: endpoint.and_then(|endpoint| self.services.now(endpoint)),
            api_server: self.api_server.now(),
        }
    }
}
