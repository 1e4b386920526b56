//! The log of attempts: attempts that may have reached the cloud are kept, in their order, and none is invented (I8).

use serde_json::{Value, json};

use super::lies::{Lie, drop, lie, put};
use super::victims::{finished, followed, in_doubt, waiting};
use crate::crd_rules::attempt;

const STAYS: &str = "an attempt that may have reached the cloud cannot be removed";
const ORDER: &str = "attempts cannot be reordered, and a new one must be appended";
const NEW: &str = "a new attempt must be Pending, and can be added only if every other attempt is Rejected, NotSent or NoEffect";
const ONE: &str =
    "at most one attempt may be Pending, because a second delete request could take effect as well";
const BODY: &str = "an attempt can only name desktops that spec.desktopIDs names, in the same spelling";

pub(super) fn removed() -> Vec<Lie> {
    let gone = || Value::Array(vec![]);
    vec![
        lie(
            "remove the call with unknown outcome",
            in_doubt,
            [drop("/attempts/2")],
            STAYS,
        ),
        lie(
            "remove a call that had no effect",
            in_doubt,
            [drop("/attempts/1")],
            STAYS,
        ),
        lie("remove an accepted call", followed, [drop("/attempts/1")], STAYS),
        lie(
            "remove the log of a request with unknown outcome",
            in_doubt,
            [drop("/attempts")],
            STAYS,
        ),
        lie(
            "remove the log of a request that is followed",
            followed,
            [drop("/attempts")],
            STAYS,
        ),
        lie(
            "remove the log of a finished request",
            finished,
            [drop("/attempts")],
            STAYS,
        ),
        lie(
            "empty the log of a request with unknown outcome",
            in_doubt,
            [put("/attempts", gone())],
            STAYS,
        ),
        lie(
            "empty the log of a finished request",
            finished,
            [put("/attempts", gone())],
            STAYS,
        ),
        lie(
            "replace the call with unknown outcome by a new one",
            in_doubt,
            [put("/attempts/2", attempt("new", "Pending", json!({})))],
            STAYS,
        ),
        lie(
            "rename the call with unknown outcome",
            in_doubt,
            [put("/attempts/2/id", "new")],
            STAYS,
        ),
        lie(
            "rename the accepted call",
            followed,
            [put("/attempts/1/id", "new")],
            STAYS,
        ),
        lie(
            "change the order of the calls",
            in_doubt,
            [put("/attempts", picked(in_doubt, &[2, 0, 1]))],
            ORDER,
        ),
        lie(
            "put the first call last",
            followed,
            [put("/attempts", picked(followed, &[1, 0]))],
            ORDER,
        ),
        lie(
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

pub(super) fn invented() -> Vec<Lie> {
    let pending = |id: &str| attempt(id, "Pending", json!({}));
    let of = |desktops: Value| json!([attempt("new", "Pending", json!({"desktopIDs": desktops}))]);
    let accepted = || attempt("new", "Accepted", json!({"jobIDs": ["job-9"]}));
    vec![
        lie(
            "begin a call while the outcome of one is unknown",
            in_doubt,
            [put("/attempts/-", pending("new"))],
            NEW,
        ),
        lie(
            "begin a call after one was accepted",
            followed,
            [put("/attempts/-", pending("new"))],
            NEW,
        ),
        lie(
            "begin a call after the end",
            finished,
            [put("/attempts/-", pending("new"))],
            NEW,
        ),
        lie(
            "invent a refused call",
            in_doubt,
            [put("/attempts/-", attempt("new", "Rejected", json!({})))],
            NEW,
        ),
        lie(
            "invent an unsent call",
            followed,
            [put("/attempts/-", attempt("new", "NotSent", json!({})))],
            NEW,
        ),
        lie(
            "invent an accepted call",
            in_doubt,
            [put("/attempts/-", accepted())],
            NEW,
        ),
        lie(
            "invent a call that was abandoned",
            finished,
            [put("/attempts/-", attempt("new", "Abandoned", json!({})))],
            NEW,
        ),
        lie(
            "begin the log with a call that was accepted",
            waiting,
            [put("/attempts", json!([accepted()]))],
            NEW,
        ),
        lie(
            "begin the log with a call that was refused",
            waiting,
            [put("/attempts", json!([attempt("new", "Rejected", json!({}))]))],
            NEW,
        ),
        lie(
            "begin the log with two calls",
            waiting,
            [put("/attempts", json!([pending("new"), pending("other")]))],
            ONE,
        ),
        lie(
            "name a desktop that is not in the spec",
            waiting,
            [put("/attempts", of(json!(["d1", "d3"])))],
            BODY,
        ),
        lie(
            "name only another desktop",
            waiting,
            [put("/attempts", of(json!(["d3"])))],
            BODY,
        ),
        lie(
            "name a desktop in another spelling",
            waiting,
            [put("/attempts", of(json!(["D1"])))],
            BODY,
        ),
    ]
}
