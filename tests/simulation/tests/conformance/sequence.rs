//! Requests by chance. Resource versions and uids are named, not numbered: each server has its own.

use serde_json::{Value, json};
use simulation::dice::Dice;

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// Of which object.
    pub(crate) name: String,
    pub(crate) verb: Verb,
    pub(crate) version: Version,
    pub(crate) uid: Uid,
}

#[derive(Debug, Clone)]
pub(crate) enum Verb {
    /// Create, with these finalizers, and this of the spec otherwise.
    Create(Vec<&'static str>, Value),
    Get,
    /// List by this selector, and keep what is of this sequence.
    List(&'static str),
    /// A merge patch.
    Patch(Value),
    /// A merge patch of the status.
    PatchStatus(Value),
    /// A replacement by the object as it was seen last, with this merged into it.
    Put(Value),
    /// The same by way of the status.
    PutStatus(Value),
    Delete,
}

/// Which resource version it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    None,
    Last,
    First,
}

/// Which uid it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Uid {
    None,
    Right,
    Wrong,
}

const OURS: &str = "cloud-desktops.dev/submission";
const OTHER: &str = "example.com/other";

impl Step {
    /// A request of sequence `number`, about one of its two objects.
    pub(crate) fn draw(number: u64, dice: &mut Dice) -> Self {
        let name = format!("s{number}-{}", dice.one_of(&["a", "b"]));
        let verb = match dice.within(0..16) {
            0..4 => {
                let finalizers = dice
                    .one_of(&[vec![], vec![], vec![OURS], vec![OURS, OTHER]])
                    .clone();
                Verb::Create(finalizers, spec(dice))
            }
            4 => Verb::Get,
            5 => Verb::List(dice.one_of::<&'static str>(&[
                "",
                "status.completionTime=",
                "status.completionTime!=",
                "status.jobID=job-1",
                "spec.projectRef.name=prod,status.completionTime=",
                "metadata.name=s1-a",
            ])),
            6..9 => Verb::Patch(change(dice)),
            9 | 10 => Verb::PatchStatus(json!({"status": status(dice)})),
            11 | 12 => Verb::Put(change(dice)),
            13 | 14 => Verb::PutStatus(json!({"status": status(dice)})),
            _ => Verb::Delete,
        };
        Self {
            name,
            verb,
            version: *dice.one_of(&[Version::None, Version::Last, Version::Last, Version::First]),
            uid: *dice.one_of(&[Uid::None, Uid::Right, Uid::Right, Uid::Right, Uid::Wrong]),
        }
    }
}

/// What a spec has beside the least that it needs, which may make it invalid.
fn spec(dice: &mut Dice) -> Value {
    dice.one_of(&[
        json!({}),
        json!({}),
        json!({}),
        json!({"suspend": true}),
        json!({"force": true, "emailNotification": false}),
        json!({"suspend": "yes"}),
        json!({"desktopIDs": null}),
        json!({"desktopIDs": []}),
        json!({"desktopIDs": ["pc-1", "PC-1"]}),
        json!({"desktopIDs": ["not an id"]}),
        json!({"projectRef": null}),
    ])
    .clone()
}

fn change(dice: &mut Dice) -> Value {
    dice.one_of(&[
        json!({}),
        json!({"spec": {"suspend": true}}),
        json!({"spec": {"suspend": false}}),
        json!({"spec": {"suspend": null}}),
        json!({"spec": {"force": true}}),
        json!({"spec": {"desktopIDs": ["pc-9"]}}),
        json!({"spec": {"notAfter": "2036-12-05T00:00:00Z"}}),
        json!({"metadata": {"annotations": {"cloud-desktops.dev/resolve": "a=abandon"}}}),
        json!({"metadata": {"annotations": null}}),
        json!({"metadata": {"labels": {"wave": "48"}}}),
        json!({"metadata": {"finalizers": [OURS]}}),
        json!({"metadata": {"finalizers": [OTHER]}}),
        json!({"metadata": {"finalizers": []}}),
        json!({"metadata": {"finalizers": null}}),
        json!({"metadata": {"finalizers": [OURS, OTHER]}}),
        json!({"status": {"lastHandledResolve": "ignored"}}),
    ])
    .clone()
}

fn status(dice: &mut Dice) -> Value {
    let condition = |status: &str, reason: &str| {
        json!({
            "type": "Succeeded", "status": status, "reason": reason, "message": "",
            "lastTransitionTime": "2026-11-24T00:00:00Z", "observedGeneration": 1,
        })
    };
    let time = "2026-11-24T00:00:00Z";
    dice.one_of(&[
        json!({}),
        json!({"observedGeneration": 1}),
        json!({"observedGeneration": 2}),
        json!({"lastHandledResolve": "a=abandon"}),
        json!({"jobID": "job-1"}),
        json!({"jobID": "job-2"}),
        json!({"conditions": [condition("Unknown", "Waiting")]}),
        json!({"completionTime": time}),
        json!({"completionTime": time, "conditions": [condition("True", "AllDeleted")]}),
    ])
    .clone()
}
