//! The memory of requests that wait.

use std::fmt;
use std::time::Duration;

use kube::api::ListParams;
use serde_json::json;
use testkit::{Namespace, eventually, manifests};

use crate::{BoxError, PATIENCE, World, cost, create};

/// What requests that wait hold.
pub(crate) struct Held {
    objects: usize,
    desktops: usize,
    /// Resident memory of the operator in KiB, without them and with them.
    before: f64,
    after: f64,
}

pub(crate) async fn measure(objects: usize, desktops: usize) -> Result<Held, BoxError> {
    let world = World::start(&[], std::iter::empty()).await?;
    let memory = || cost::memory_kib(world.operator.pid(), "VmRSS:");
    let before = memory()?;
    eprintln!("creating {objects} objects of {desktops} desktops");
    let manifest = |n: usize| {
        // As long as the IDs of the service.
        let ids = (0..desktops).map(|desktop| format!("00000000-0000-4000-8000-{n:06}{desktop:06}"));
        let mut manifest = manifests::desktop_deletion(&format!("held-{n}"), "prod", ids);
        manifest["spec"]["suspend"] = json!(true);
        manifest
    };
    create(&world.namespace, objects, manifest).await?;
    all_held(&world.namespace, objects).await?;
    let after = memory()?;
    Ok(Held {
        objects,
        desktops,
        before,
        after,
    })
}

/// Waits until each request says that it waits.
async fn all_held(namespace: &Namespace, objects: usize) -> Result<(), BoxError> {
    let requests = namespace.deletions();
    let look = async || {
        let list = requests
            .list(&ListParams::default())
            .await
            .map_err(|error| error.to_string())?;
        let held = list.items.iter().filter(|object| {
            let conditions = object.data["status"]["conditions"].as_array();
            conditions
                .into_iter()
                .flatten()
                .any(|condition| condition["reason"] == "Suspended")
        });
        match held.count() {
            held if held == objects => Ok(()),
            held => Err(format!("{held} of {objects} wait")),
        }
    };
    let patience = Duration::from_secs(120) + PATIENCE * u32::try_from(objects)?;
    eventually("all requests wait", patience, look).await?;
    Ok(())
}

impl fmt::Display for Held {
    #[allow(clippy::cast_precision_loss)] // counts of some thousands
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = (self.after - self.before) / self.objects as f64;
        writeln!(
            f,
            "objects                  {}, of {} desktops",
            self.objects, self.desktops
        )?;
        writeln!(f, "memory without them      {:.1} MiB", self.before / 1024.0)?;
        writeln!(f, "memory with them         {:.1} MiB", self.after / 1024.0)?;
        write!(f, "for each of them         {each:.1} KiB")
    }
}
