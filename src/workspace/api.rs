//! The calls to the cloud API. Plain data and one trait; no HTTP here.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;

use super::auth::Credentials;
use super::error::Error;
use crate::ids::{DesktopID, JobID};

pub use facts::{
    AttachedKind, AttachedUser, Billing, DesktopDetails, DesktopFacts, DesktopKind, DetailFacts, Fact,
    LoginStatus,
};

mod facts;

/// Most desktops that one batch-delete, and one filtered desktop list, may name (limit of the API definition).
pub const MAX_BATCH: usize = 100;

/// Highest offset of a list (limit of the API definition).
pub const MAX_OFFSET: u32 = 10_000;

/// Most rows of one page of a list (limit of the API definition).
pub const MAX_PAGE: u32 = 1_000;

/// The calls of one project, with one set of credentials.
///
/// Reads may be repeated at will. The only call with an effect is [`Workspace::send`], and it takes its
/// argument by value: what was signed once is sent at most once.
#[async_trait]
pub trait Workspace: Send + Sync + fmt::Debug {
    /// `GET /v2/{project_id}/desktops` filtered by `desktop_id`, for at most [`MAX_BATCH`] ids. Without IDs it requests
    /// one row of any desktop: the read-only request that verifies credentials.
    ///
    /// # Errors
    /// Every [`Error`] but one about a missing desktop, which is simply not in the list.
    async fn list_desktops(&self, ids: &[DesktopID]) -> Result<ApiResponse<DesktopPage>, Error> {
        self.list_desktops_from(ids, 0).await
    }

    /// The rows of the same list from an offset on, at most [`MAX_OFFSET`], as many as one page holds: used if the
    /// service ignores the filter. From offset 0 it requests one row for each ID.
    ///
    /// # Errors
    /// As [`Workspace::list_desktops`].
    async fn list_desktops_from(
        &self,
        ids: &[DesktopID],
        offset: u32,
    ) -> Result<ApiResponse<DesktopPage>, Error>;

    /// `GET /v2/{project_id}/desktops/detail` filtered by `desktop_id`, for 1 to [`MAX_BATCH`] ids: sessions and billing,
    /// which no short list gives.
    ///
    /// # Errors
    /// As [`Workspace::list_desktops`].
    async fn list_desktop_details(
        &self,
        ids: &[DesktopID],
    ) -> Result<ApiResponse<Vec<DesktopDetails>>, Error>;

    /// `GET /v2/{project_id}/desktops/{desktop_id}`.
    ///
    /// # Errors
    /// Every [`Error`]; a 404 that means "no such desktop" is not one, but [`Lookup::Gone`].
    async fn show_desktop(&self, id: &DesktopID) -> Result<ApiResponse<Lookup>, Error>;

    /// `GET /v2/{project_id}/workspace-sub-jobs` with `job_type=deleteDesktops`: one page.
    ///
    /// # Errors
    /// Every [`Error`].
    async fn list_sub_jobs(&self, query: &SubJobQuery) -> Result<ApiResponse<SubJobPage>, Error>;

    /// `GET /v2/{project_id}/workspace-jobs/{job_id}`: a parent job with its sub-jobs.
    ///
    /// # Errors
    /// Every [`Error`]; a job that the service does not know is a 404.
    async fn show_job(&self, id: &JobID) -> Result<ApiResponse<Job>, Error>;

    /// Serialises and signs `POST /v2/{project_id}/desktops/batch-delete` as of `now`. Sends nothing.
    ///
    /// # Errors
    /// The credentials cannot be used: they contain characters that are invalid in a header, or must be renewed first,
    /// which every other call does.
    fn sign_batch_delete(&self, body: &BatchDelete, now: Timestamp) -> Result<SignedRequest, Error>;

    /// Sends a signed request once: no retry, no redirect, no reused connection. The documented
    /// status is 202; a job ID with another success status is accepted as well, since it would be lost otherwise.
    ///
    /// # Errors
    /// Every [`Error`]. Only [`Error::was_not_sent`] and a definite rejection mean that nothing happened.
    async fn send(&self, request: SignedRequest) -> Result<ApiResponse<JobID>, Error>;
}

/// A response together with the service's own clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiResponse<T> {
    /// The decoded value.
    pub value: T,
    /// Its HTTP status.
    pub status: u16,
    /// The `Date` header of the response; `None` if missing or unreadable.
    pub service_time: Option<Timestamp>,
}

/// One page of the desktop list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DesktopPage {
    /// `total_count`: rows that match, on all pages.
    pub total: u64,
    /// Rows of this page that name a readable desktop.
    pub desktops: Vec<Desktop>,
    /// Rows of this page as the service sent them, readable or not: what paging counts.
    pub rows: usize,
}

/// A desktop as the service describes it. Statuses keep the service's spelling; compare without regard to case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desktop {
    /// `desktop_id`.
    pub id: DesktopID,
    /// `computer_name`.
    pub name: Option<String>,
    /// `status`; empty late in a deletion, `DELETED` after one in some regions.
    pub status: String,
    /// `task_status`; empty when idle.
    pub task_status: String,
    /// Other facts.
    pub facts: Box<DesktopFacts>,
}

/// The result of reading one desktop by its ID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// 200 with the desktop (whose status may be `DELETED`).
    Found(Desktop),
    /// 404 from the service itself: JSON body, no gateway code.
    Gone,
}

/// Which sub-jobs to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubJobQuery {
    /// Only these statuses; empty: every status.
    pub statuses: Vec<SubJobStatus>,
    /// Only sub-jobs of this parent.
    pub job: Option<JobID>,
    /// Rows to skip, at most 10 000.
    pub offset: u32,
    /// Maximum number of rows to return, at most 1 000.
    pub limit: u32,
}

/// One page of the sub-job list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubJobPage {
    /// `total_count`: rows that match, on all pages.
    pub total: u64,
    /// Rows of this page that name a readable parent and desktop.
    pub sub_jobs: Vec<SubJob>,
    /// Rows of this page as the service sent them, readable or not: what paging counts.
    pub rows: usize,
    /// The body has a list, even if it is empty. Without it, the page shows nothing.
    pub has_list: bool,
}

/// The deletion of one desktop within a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubJob {
    /// `id` of the sub-job itself, as sent.
    pub id: String,
    /// `job_id`: the parent.
    pub job: JobID,
    /// `entities.desktop_id`.
    pub desktop: DesktopID,
    /// `status`.
    pub status: SubJobStatus,
    /// `error_code`.
    pub code: Option<String>,
    /// `fail_reason`.
    pub reason: Option<String>,
}

/// Status of a sub-job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubJobStatus {
    /// `WAITING`, or `INIT` or `PENDING` as other jobs of the cloud have it.
    Waiting,
    /// `RUNNING`.
    Running,
    /// `SUCCESS`, or `COMPLETE` as parents have it.
    Success,
    /// `FAILED`, or `FAIL` as parents have it.
    Failed,
    /// An undocumented value, which becomes the code of the sub-job unless it has one. Whether it is final is known
    /// once the parent has ended.
    Other,
}

/// A parent job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// `id`.
    pub id: JobID,
    /// Whether its status is one that ends it: `SUCCESS`, `COMPLETE`, `FAIL` or `FAILED`. It may end so while
    /// sub-jobs failed.
    pub finished: bool,
    /// Its status is not a documented one, or it has none and shows no sub-job: whether it has ended is not known.
    pub end_unknown: bool,
    /// `job_error_code`.
    pub code: Option<String>,
    /// `fail_reason`.
    pub reason: Option<String>,
    /// Its sub-jobs that name a readable desktop.
    pub sub_jobs: Vec<SubJob>,
    /// The response contains all of its sub-jobs: as many rows as `sub_jobs_total` says, each readable.
    pub complete: bool,
}

/// Body of batch-delete, every field always sent: `email_notification` left out would mean *true*.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BatchDelete {
    /// `desktop_ids`: 1 to [`MAX_BATCH`], no duplicates.
    pub desktop_ids: Vec<DesktopID>,
    /// `delete_users`: also delete users who have no other desktop left.
    pub delete_users: bool,
    /// `email_notification`: mail the users.
    pub email_notification: bool,
    /// Stop a running desktop first.
    #[serde(rename = "is_force_delete")]
    pub force: bool,
}

/// A batch-delete that is ready to be sent. It exists in memory only, cannot be cloned, and its `Debug` shows neither
/// signature nor token.
pub struct SignedRequest {
    /// Where it was signed for, since it goes nowhere else; the bytes of the body; the headers, credentials included.
    pub(super) call: http::Request<Vec<u8>>,
    /// `sha256:<hex>` of the body.
    pub(super) digest: String,
    /// When it was signed, whole seconds.
    pub(super) signed_at: Timestamp,
    /// What it was signed with.
    pub(super) credentials: Arc<Credentials>,
    /// How it is authenticated.
    pub(super) authentication: Authentication,
}

/// How a request is authenticated, and until when it can be accepted, by the service's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// A signature, which ends some time after it was made, and with its access key if that is a temporary one.
    Signature {
        /// When the access key ends; `None` if that is not known, or never.
        key_ends: Option<Timestamp>,
    },
    /// A token.
    Token {
        /// When the token ends; `None` if that is not known.
        ends: Option<Timestamp>,
    },
}

impl SignedRequest {
    /// `sha256:<hex>` of the body, as stored with the intent.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// When it was signed; the gateway rejects it some time after that.
    pub fn signed_at(&self) -> Timestamp {
        self.signed_at
    }

    /// How it is authenticated.
    pub fn authentication(&self) -> Authentication {
        self.authentication
    }
}

impl fmt::Debug for SignedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedRequest")
            .field("digest", &self.digest)
            .field("signed_at", &self.signed_at)
            .finish_non_exhaustive()
    }
}
