//! Counting what was done, and its print.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use testkit::{AuditEvent, Cloud, ControlPlane, Namespace, SERVICE_ACCOUNT, eventually};

use crate::BoxError;
use crate::latency::Latency;

/// Clock ticks a second in `/proc`, the same on every Linux (`USER_HZ`).
const TICKS: f64 = 100.0;

/// What a burst cost.
pub(crate) struct Cost {
    pub(crate) objects: usize,
    pub(crate) took: Duration,
    pub(crate) process: Process,
    /// Calls of the cloud by operation.
    pub(crate) calls: BTreeMap<String, usize>,
    /// Requests to the API server by verb and resource.
    pub(crate) requests: BTreeMap<String, usize>,
    pub(crate) writes: Writes,
    /// Of objects that came one after the other.
    pub(crate) latency: Option<Latency>,
}

/// What the process of the operator used since its start.
pub(crate) struct Process {
    cpu_seconds: f64,
    peak_mib: f64,
}

/// Writes of the operator to the objects.
pub(crate) struct Writes {
    all: usize,
    /// Of the object that was written most.
    most: usize,
}

/// Reads what a process used (Linux only).
pub(crate) fn process(pid: u32) -> Result<Process, BoxError> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name of the program stands in parentheses and may hold blanks; time in user and system mode are the 12th and
    // 13th field behind it.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks: Vec<f64> = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    Ok(Process {
        cpu_seconds: ticks.iter().sum::<f64>() / TICKS,
        peak_mib: memory_kib(pid, "VmHWM:")? / 1024.0,
    })
}

/// Reads one size from `/proc/PID/status` (Linux only).
pub(crate) fn memory_kib(pid: u32, field: &str) -> Result<f64, BoxError> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let size = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = size
        .and_then(|size| size.split_whitespace().next())
        .ok_or("the system does not tell the memory of a process")?;
    Ok(kib.parse()?)
}

/// Counts the calls of the cloud.
pub(crate) fn calls(cloud: &Cloud) -> BTreeMap<String, usize> {
    let mut calls = BTreeMap::new();
    for call in cloud.ledger() {
        *calls.entry(format!("{:?}", call.operation)).or_default() += 1;
    }
    calls
}

/// Counts the operator's requests in the audit log. Watches are not in it before they end.
pub(crate) fn requests(control_plane: &ControlPlane) -> Result<BTreeMap<String, usize>, BoxError> {
    let mut requests = BTreeMap::new();
    for event in control_plane.audit().events()? {
        if let Some(object) = &event.object_ref
            && event.by_service_account(SERVICE_ACCOUNT)
        {
            *requests
                .entry(format!("{} {}", event.verb, object.resource))
                .or_default() += 1;
        }
    }
    Ok(requests)
}

/// Counts the operator's writes in the audit log, once it shows the last one of each object.
pub(crate) async fn writes(
    control_plane: &ControlPlane,
    namespace: &Namespace,
    objects: usize,
) -> Result<Writes, BoxError> {
    let look = async || {
        let mut by_object: BTreeMap<String, usize> = BTreeMap::new();
        let mut ended = 0;
        for event in control_plane
            .audit()
            .events()
            .map_err(|error| error.to_string())?
        {
            let Some(name) = written(&event, namespace) else {
                continue;
            };
            *by_object.entry(name.to_owned()).or_default() += 1;
            let after = event.response_object.as_ref();
            ended += usize::from(after.is_some_and(|object| object["status"]["completionTime"].is_string()));
        }
        if ended < objects {
            return Err(format!("{ended} of {objects} ends"));
        }
        Ok(by_object)
    };
    let by_object = eventually("the audit log shows all ends", Duration::from_secs(60), look).await?;
    Ok(Writes {
        all: by_object.values().sum(),
        most: by_object.values().copied().max().unwrap_or_default(),
    })
}

/// The request that the operator wrote to.
fn written<'a>(event: &'a AuditEvent, namespace: &Namespace) -> Option<&'a str> {
    let object = event.object_ref.as_ref()?;
    let ours = event.is_write() && event.by_service_account(SERVICE_ACCOUNT);
    let request = object.resource == "desktopdeletions" && object.namespace == namespace.name();
    (ours && request).then_some(object.name.as_str())
}

impl fmt::Display for Cost {
    #[allow(clippy::cast_precision_loss)] // counts of some thousands
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let objects = self.objects as f64;
        let calls: usize = self.calls.values().sum();
        writeln!(f, "objects                  {}", self.objects)?;
        writeln!(f, "cloud calls per object   {:.3}", calls as f64 / objects)?;
        for (operation, calls) in &self.calls {
            writeln!(f, "  {operation:<30} {calls}")?;
        }
        let requests: usize = self.requests.values().sum();
        writeln!(f, "API requests per object  {:.3}", requests as f64 / objects)?;
        for (request, times) in &self.requests {
            writeln!(f, "  {request:<30} {times}")?;
        }
        writeln!(
            f,
            "writes per object        {:.3} (at most {})",
            self.writes.all as f64 / objects,
            self.writes.most
        )?;
        let took = self.took.as_secs_f64();
        writeln!(
            f,
            "time                     {took:.1} s, {:.1} ms per object",
            took * 1000.0 / objects
        )?;
        if let Some(latency) = &self.latency {
            writeln!(f, "{latency}")?;
        }
        writeln!(f, "CPU time of the operator {:.2} s", self.process.cpu_seconds)?;
        write!(f, "peak memory              {:.1} MiB", self.process.peak_mib)
    }
}
