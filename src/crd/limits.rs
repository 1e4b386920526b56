//! Bounds of texts and lists in status, in characters (Unicode code points) and items.
//!
//! The API server refuses a write that exceeds one of them, so the operator cuts what it stores to these sizes.
//! They also keep the cost of the rules within the API server's budget, and the largest request, 1.3 MB without its
//! annotations, below the 1.5 MiB that etcd takes.

/// Desktops of one request: the most that the cloud takes in one batch-delete call.
pub const DESKTOPS: u32 = 100;
/// Attempts that one request keeps.
pub const ATTEMPTS: u32 = 8;
/// Jobs that one attempt keeps: the one in its response, and others that evidence shows.
pub const JOBS_PER_ATTEMPT: u32 = 4;
/// Earlier jobs that an attempt's baseline keeps. A desktop that still exists has few, if any.
pub const BASELINE_JOBS: u32 = 50;
/// Conditions of one object.
pub const CONDITIONS: u32 = 8;
/// Message of a condition. Kubernetes gives its own conditions 32768, but eight of those and a full log are more than
/// etcd takes.
pub const CONDITION_MESSAGE: u32 = 2048;
/// Reason of a condition.
pub const CONDITION_REASON: u32 = 256;
/// Type of a condition.
pub const CONDITION_TYPE: u32 = 64;
/// Name of a pod or of another Kubernetes object.
pub const OBJECT_NAME: u32 = 253;
/// Name of one of our objects: the name of an Event adds 17 characters to it (kube's recorder).
pub const OWN_OBJECT_NAME: u32 = 236;
/// `message` and `detail` of an error of the cloud; the vendor's API reference gives them 1000 characters.
pub const ERROR_TEXT: u32 = 1000;
/// Error code of the cloud, and the one-word fields of an error.
pub const ERROR_CODE: u32 = 64;
/// Request ID that the cloud gave to a call.
pub const REQUEST_ID: u32 = 128;
/// Encoded authorization message of a denial.
pub const AUTHORIZATION_MESSAGE: u32 = 10_240;
/// Computer name of a desktop; the vendor's API reference gives it 55 characters.
pub const DESKTOP_NAME: u32 = 64;
/// Tags of one list of a project's guardrails.
pub const GUARDRAIL_TAGS: u32 = 20;
/// Patterns of computer names in a project's guardrails.
pub const GUARDRAIL_NAMES: u32 = 50;
/// Submission windows of a project's guardrails.
pub const GUARDRAIL_WINDOWS: u32 = 14;
/// Intervals of a project's daily usage: the quarters of an hour of a day, the one that has begun, and the one in which the
/// submissions of the last minutes may end.
pub const USAGE_INTERVALS: u32 = 98;
/// Reservations of a project's daily usage.
pub const RESERVATIONS: u32 = 128;
/// Uid of an object.
pub const UID: u32 = 128;
/// resourceVersion of an object.
pub const RESOURCE_VERSION: u32 = 64;
/// Maximum number of desktops per day.
pub const DESKTOPS_PER_DAY: u32 = 1_000_000;
/// Name of a time zone.
pub const TIME_ZONE: u32 = 64;
/// Key of a tag, as the vendor's API reference has it.
pub const TAG_KEY: u32 = 128;
/// Value of a tag. The vendor's API reference gives it 43 characters.
pub const TAG_VALUE: u32 = 255;
/// Users of a desktop, as they are shown.
pub const DESKTOP_USER: u32 = 64;
/// Kinds of facts of a desktop that the cloud may not report.
pub const MISSING_FACTS: u32 = 4;
/// SHA-256 in hexadecimal digits, and the name of the algorithm.
pub const DIGEST: u32 = 71;
/// Computer name or user name that a request expects.
pub const EXPECTED_NAME: u32 = 64;
/// What is wrong with one desktop; the vendor's API reference gives `fail_reason` 255 characters.
pub const DESKTOP_MESSAGE: u32 = 255;
/// URL of a service.
pub const ENDPOINT: u32 = 300;
/// Value of the resolve annotation that was handled last.
pub const HANDLED_RESOLVE: u32 = 1024;
/// Certificates of a project, in PEM (64 KiB of ASCII).
pub const CA_BUNDLE: u32 = 65_536;
/// Point in time by RFC 3339.
pub const TIME: u32 = 35;

/// At most `max` characters of a text, the last one an ellipsis if something was cut.
pub fn cut(text: &str, max: u32) -> String {
    let max = max as usize;
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some(_) => text
            .chars()
            .take(max.saturating_sub(1))
            .chain(['\u{2026}'])
            .collect(),
    }
}
