//! Codes that the operator itself gives to a desktop that failed; all others are the cloud's.

/// The job reports success, and the desktop still exists when the job is overdue.
pub const STILL_PRESENT: &str = "StillPresent";
/// The job has ended, and its sub-job for the desktop has not.
pub const STILL_OPEN: &str = "StillOpen";
/// Nothing reports the result for the desktop.
pub const NO_SUB_JOB: &str = "NoSubJob";
/// The sub-job has no status.
pub const NO_STATUS: &str = "NoStatus";
/// The submission reached other desktops and not this one.
pub const NOT_SUBMITTED: &str = "NotSubmitted";

/// All of them.
pub const ALL: [&str; 5] = [STILL_PRESENT, STILL_OPEN, NO_SUB_JOB, NO_STATUS, NOT_SUBMITTED];
