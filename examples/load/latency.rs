//! How long it takes from the creation of an object to its call of the cloud.

use std::collections::HashMap;
use std::fmt;

use jiff::Timestamp;
use serde_json::Value;
use testkit::Cloud;
use workspace_simulator::cloud::Operation;

use crate::BoxError;

/// The time from the request that creates an object to the arrival of its `BatchDelete` at the cloud.
pub(crate) struct Latency {
    /// In milliseconds, sorted.
    sorted: Vec<f64>,
}

/// When the creation of each object was sent, by its desktop.
pub(crate) type Sent = HashMap<String, Timestamp>;

/// Compares what was sent with what the cloud got; both by the clock of this machine.
pub(crate) fn measure(sent: &Sent, cloud: &Cloud) -> Result<Latency, BoxError> {
    let mut sorted = Vec::new();
    for call in cloud.calls(Operation::BatchDelete) {
        let body: Value = serde_json::from_str(&call.body)?;
        let desktop = body["desktop_ids"][0].as_str().unwrap_or_default();
        let created = sent
            .get(desktop)
            .ok_or_else(|| format!("no request was created for {desktop}"))?;
        sorted.push(call.time.duration_since(*created).as_secs_f64() * 1000.0);
    }
    if sorted.is_empty() {
        return Err("nothing was submitted".into());
    }
    sorted.sort_by(f64::total_cmp);
    Ok(Latency { sorted })
}

impl Latency {
    /// The smallest latency that `percent` of the objects do not exceed.
    fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.sorted.len() * percent).div_ceil(100);
        self.sorted[rank.saturating_sub(1)]
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99] = [50, 99].map(|percent| self.percentile(percent));
        write!(f, "created until submitted  p50 {p50:.0} ms, p99 {p99:.0} ms")
    }
}
