//! The log of attempts: attempts that may have reached the cloud are kept, in their order, and none is invented (I8).

use serde_json::{Value, json};

use super::forged_edits::{ForgedEdit, drop, forged_edit, put};
use super::victims::{finished, followed, in_doubt, waiting};
use crate::crd_rules::attempt;

const STAYS: &str = "an attempt that may have reached the cloud cannot be removed";
const ORDER: &str = "attempts cannot be reordered, and a new one must be appended";
const NEW: &str = "a new attempt must be Pending, and can be added only if every other attempt is Rejected, NotSent or NoEffect";
const ONE: &str =
    "at most one attempt may be Pending, because a second delete request could take effect as well";
const BODY: &str = "an attempt can only name desktops that spec.desktopIDs names, in the same spelling";

pub(super) fn removed() -> Vec<ForgedEdit> {
    let gone = || Value::Array(vec![]);
    vec![
        forged_edit(
            "remove the call with unknown outcome",
            in_doubt,
            [drop("/attempts/2")],
            STAYS,
        ),
        forged_edit(
            "remove a call that had no effect",
            in_doubt,
            [drop("/attempts/1")],
            STAYS,
        ),
        forged_edit("remove an accepted call", followed, [drop("/attempts/1")], STAYS),
        forged_edit(
            "remove the log of a request with unknown outcome",
            in_doubt,
            [drop("/attempts")],
            STAYS,
        ),
        forged_edit(
            "remove the log of a request that is followed",
            followed,
            [drop("/attempts")],
            STAYS,
        ),
        forged_edit(
            "remove the log of a finished request",
            finished,
            [drop("/attempts")],
            STAYS,
        ),
        forged_edit(
            "empty the log of a request with unknown outcome",
            in_doubt,
            [put("/attempts", gone())],
            STAYS,
        ),
        forged_edit(
            "empty the log of a finished request",
            finished,
            [put("/attempts", gone())],
            STAYS,
        ),
        forged_edit(
            "replace the call with unknown outcome by a new one",
            in_doubt,
            [put("/attempts/2", attempt("new", "Pending", json!({})))],
            STAYS,
        ),
        forged_edit(
            "rename the call with unknown outcome",
            in_doubt,
            [put("/attempts/2/id", "new")],
            STAYS,
        ),
        forged_edit(
            "rename the accepted call",
            followed,
            [put("/attempts/1/id", "new")],
            STAYS,
        ),
        forged_edit(
            "change the order of the calls",
            in_doubt,
            [put("/attempts", picked(in_doubt, &[2, 0, 1]))],
            ORDER,
        ),
        forged_edit(
            "put the first call last",
            followed,
            [put("/attempts", picked(followed, &[1, 0]))],
            ORDER,
        ),
        forged_edit(
            "put a new call before the old ones",
            in_doubt,
            [put("/attempts", new_before_old())],
            ORDER,
        ),
    ]
}

/// The attempts of a victim in another order.
fn picked(victim: fn() -> Value, places: &[usize]) -> Value {
    let status = victim();
    places
        .iter()
        .map(|&place| status["attempts"][place].clone())
        .collect()
}

fn new_before_old() -> Value {
    let mut attempts = in_doubt()["attempts"].clone();
    attempts[2]["outcome"] = json!("NoEffect");
    let attempts = attempts.as_array_mut().unwrap();
    attempts.insert(0, attempt("new", "Pending", json!({})));
    attempts.clone().into()
}

pub(super) fn invented() -> Vec<ForgedEdit> {
    let pending = |id: &str| attempt(id, "Pending", json!({}));
    let of = |desktops: Value| json!([attempt("new", "Pending", json!({"desktopIDs": desktops}))]);
    let accepted = || attempt("new", "Accepted", json!({"jobIDs": ["job-9"]}));
    vec![
        forged_edit(
            "begin a call while the outcome of one is unknown",
            in_doubt,
            [put("/attempts/-", pending("new"))],
            NEW,
        ),
        forged_edit(
            "begin a call after one was accepted",
            followed,
            [put("/attempts/-", pending("new"))],
            NEW,
        ),
        forged_edit(
            "begin a call after the end",
            finished,
            [put("/attempts/-", pending("new"))],
            NEW,
        ),
        forged_edit(
            "invent a refused call",
            in_doubt,
            [put("/attempts/-", attempt("new", "Rejected", json!({})))],
            NEW,
        ),
        forged_edit(
            "invent an unsent call",
            followed,
            [put("/attempts/-", attempt("new", "NotSent", json!({})))],
            NEW,
        ),
        forged_edit(
            "invent an accepted call",
            in_doubt,
            [put("/attempts/-", accepted())],
            NEW,
        ),
        forged_edit(
            "invent a call that was abandoned",
            finished,
            [put("/attempts/-", attempt("new", "Abandoned", json!({})))],
            NEW,
        ),
        forged_edit(
            "begin the log with a call that was accepted",
            waiting,
            [put("/attempts", json!([accepted()]))],
            NEW,
        ),
        forged_edit(
            "begin the log with a call that was refused",
            waiting,
            [put("/attempts", json!([attempt("new", "Rejected", json!({}))]))],
            NEW,
        ),
        forged_edit(
            "begin the log with two calls",
            waiting,
            [put("/attempts", json!([pending("new"), pending("other")]))],
            ONE,
        ),
        forged_edit(
            "name a desktop that is not in the spec",
            waiting,
            [put("/attempts", of(json!(["d1", "d3"])))],
            BODY,
        ),
        forged_edit(
            "name only another desktop",
            waiting,
            [put("/attempts", of(json!(["d3"])))],
            BODY,
        ),
        forged_edit(
            "name a desktop in another spelling",
            waiting,
            [put("/attempts", of(json!(["D1"])))],
            BODY,
        ),
    ]
}
