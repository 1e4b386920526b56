//! Statuses, error codes, messages and words: of the documents, of reports about neighbouring projects, and invented.

use serde_json::json;

use super::tree::Tree;
use crate::dice::Dice;

/// Statuses that something on the way may give.
const STATUSES: [u16; 40] = [
    100, 101, 103, 199, 200, 200, 201, 202, 202, 203, 204, 205, 206, 207, 226, 299, 300, 301, 302, 304, 307,
    308, 400, 401, 403, 404, 407, 408, 409, 413, 418, 425, 429, 431, 451, 494, 499, 500, 502, 503,
];

/// The same, of servers and proxies that invent their own.
const ODD_STATUSES: [u16; 14] = [
    304, 440, 444, 460, 498, 504, 505, 509, 511, 520, 521, 524, 530, 599,
];

/// Codes of the gateway, of the service and of IAM, with the status that each comes with; and whether what gives it has
/// done nothing (vendor's API reference, errors).
const CODES: [(&str, u16, bool); 44] = [
    ("APIGW.0101", 404, true),
    ("APIGW.0103", 404, true),
    ("APIG.0104", 400, true),
    ("APIGW.0105", 500, true),
    ("APIGW.0201", 400, true),
    ("APIGW.0201", 413, true),
    ("APIGW.0201", 494, true),
    ("APIGW.0201", 502, false),
    ("APIGW.0201", 504, false),
    ("APIG.0201", 500, false),
    ("APIGW.0204", 400, true),
    ("APIGW.0301", 401, true),
    ("APIG.0301", 401, true),
    ("APIGW.0302", 403, true),
    ("APIGW.0303", 401, true),
    ("APIGW.0305", 401, true),
    ("APIGW.0307", 401, true),
    ("APIGW.0308", 429, true),
    ("APIG.0308", 429, true),
    ("APIGW.0310", 403, true),
    ("APIGW.0401", 403, true),
    ("APIGW.0601", 500, false),
    ("APIG.0602", 400, true),
    ("APIGW.0605", 500, false),
    ("APIGW.0610", 502, true),
    ("APIGW.0613", 503, true),
    ("APIGW.0802", 403, true),
    ("APIGW.9999", 500, false),
    ("SYS.0400", 400, true),
    ("WKS.0001", 400, true),
    ("WKS.00010032", 409, true),
    ("WKS.0407", 400, true),
    ("WKS.00010099", 403, true),
    ("WKS.0202", 500, false),
    ("WKS.0403", 403, true),
    ("WKS.00170312", 400, true),
    ("WKS.00170117", 400, true),
    ("WKS.00000003", 500, false),
    ("WKS.00010109", 200, false),
    ("WKS.9999999999", 500, false),
    ("IAM.0011", 400, true),
    ("IAM.0001", 401, true),
    ("STS5.1001", 403, true),
    ("500", 500, false),
];

const MESSAGES: [&str; 12] = [
    "Incorrect IAM authentication information: decrypt token fail",
    "Incorrect IAM authentication information: verify aksk signature fail",
    "The throttling threshold has been reached: policy user over ratelimit,limit:100,time:1 minute",
    "The API does not exist or has not been published in the environment",
    "Backend timeout.",
    "Request parameter error",
    "User: iam-user is not authorized to perform: vpc:ports:delete on resource",
    "operation conflict, the status of the desktop denies the operation",
    "the tenant does not exist",
    "system error, please contact customer service",
    "",
    "\u{7cfb}\u{7edf}\u{7e41}\u{5fd9}\u{ff0c}\u{8bf7}\u{7a0d}\u{540e}\u{91cd}\u{8bd5}",
];

/// Words of sub-jobs and jobs, documented or not.
const JOB_STATUSES: [&str; 16] = [
    "WAITING",
    "RUNNING",
    "SUCCESS",
    "FAILED",
    "FAIL",
    "COMPLETE",
    "INIT",
    "PENDING",
    "ABNORMAL",
    "CANCELLED",
    "SKIPPED",
    "Running",
    "success",
    "PART_SUCCESS",
    "ROLLBACK",
    "",
];

/// Words of desktops.
const DESKTOP_STATUSES: [&str; 18] = [
    "ACTIVE",
    "SHUTOFF",
    "ERROR",
    "HIBERNATED",
    "REBOOT",
    "HARD_REBOOT",
    "REBUILD",
    "RESIZE",
    "BUILD",
    "DELETING",
    "DELETED",
    "deleted",
    "SOFT_DELETED",
    "MIGRATING",
    "UNKNOWN",
    "active",
    "STANDBY",
    "",
];

/// Words of the tasks of desktops.
const TASKS: [&str; 12] = [
    "",
    "deleting",
    "deleteFailed",
    "scheduling",
    "block_device_mapping",
    "networking",
    "powering-off",
    "rebuilding",
    "attachingVolume",
    "inMaintenance",
    "DELETING",
    "Deletefailed",
];

const TIMES: [&str; 8] = [
    "soon",
    "1970-01-01T00:00:00.000000Z",
    "0000-00-00T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "+12345-01-01T00:00:00Z",
    "2026-01-05 09:00:00",
    "2026-01-05T08:10:00.000000+99:99",
    "2026-13-45T25:61:61Z",
];

/// A status, mostly one that was observed in practice.
pub(super) fn status(dice: &mut Dice) -> u16 {
    let any = u16::try_from(dice.within(100..600)).unwrap_or(500);
    match dice.within(0..8) {
        0 => any,
        1 | 2 => *dice.one_of(&ODD_STATUSES),
        _ => *dice.one_of(&STATUSES),
    }
}

/// An error code.
pub(super) fn code(dice: &mut Dice) -> &'static str {
    dice.one_of(&CODES).0
}

/// Whether something in a text is a code that always says that nothing was done.
pub(super) fn holds_refusing_code(text: &str) -> bool {
    let always = |code: &str| CODES.iter().all(|(own, _, refuses)| *own != code || *refuses);
    CODES.iter().any(|(code, ..)| always(code) && text.contains(code))
}

/// An error in one of the known envelopes, with the status that it comes with, and its code.
pub(super) fn refusal(dice: &mut Dice) -> (u16, Tree, &'static str) {
    let (code, status, _) = *dice.one_of(&CODES);
    let message = *dice.one_of(&MESSAGES);
    let number = u64::from(status);
    let body = match dice.within(0..12) {
        0..3 => json!({"error_code": code, "error_msg": message}),
        3 => {
            json!({"error_code": code, "error_msg": message, "request_id": "a8f5f167f44f4964e6c998dee827110c"})
        }
        4 => json!({
            "error_code": code, "error_msg": message, "error_detail": message,
            "encoded_authorization_message": "bm90IHJlYWw",
        }),
        5 => json!({"errorCode": code, "errorMsg": message}),
        6 => json!({"code": code, "message": message}),
        7 => json!({"error": {"code": number, "message": message, "title": "Unauthorized"}}),
        8 => json!({"error": {"code": code, "message": message}}),
        9 => json!({"code": number, "message": message}),
        10 => json!({"error_code": number, "error_msg": message}),
        _ => json!({"message": "no Route matched with those values", "timestamp": "now", "status": number}),
    };
    (status, Tree::of(body), code)
}

/// A value that a field may have, documented or observed.
pub(super) fn of_field(key: &str, dice: &mut Dice) -> Option<&'static str> {
    let words: &[&str] = match key {
        "status" if dice.once_in(2) => &JOB_STATUSES,
        "status" => &DESKTOP_STATUSES,
        "task_status" => &TASKS,
        "expires_at" | "begin_time" | "end_time" | "created" => &TIMES,
        "error_code" | "job_error_code" => return Some(code(dice)),
        "fail_reason" | "error_msg" | "message" => &MESSAGES,
        _ => return None,
    };
    Some(*dice.one_of::<&str>(words))
}
