//! The cast: seven requests, what each is about, and how it has to end.

use desktop_deletion_operator::crd::conditions::{ConditionType, Reason};
use desktop_deletion_operator::crd::deletion::{DesktopDeletion, DesktopState};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// One request.
pub(crate) struct Role {
    /// Its letter, with which its name begins.
    pub(crate) letter: char,
    /// Name of the object.
    pub(crate) name: &'static str,
    /// What it is about.
    pub(crate) story: &'static str,
    /// Its project.
    pub(crate) project: Project,
    /// The desktops that it lists.
    pub(crate) desktops: &'static [Desktop],
    /// Users whom its author expects the desktops to have, in the order of the desktops; none where nothing is expected.
    pub(crate) expected_users: &'static [&'static str],
    /// How it has to end.
    pub(crate) end: End,
}

/// Which of the three projects a request refers to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Project {
    /// The project of `deploy/samples` without guardrails; its key may do everything.
    Open,
    /// The project of `deploy/samples` that requires an approval; it has the same key.
    Guarded,
    /// A third project, whose key may read but not delete.
    ReadOnly,
}

/// One desktop of a request.
pub(crate) struct Desktop {
    /// Its id.
    pub(crate) id: &'static str,
    /// Its computer name.
    pub(crate) name: &'static str,
    /// What has to stand in the status in the end. `Absent` ones never existed, `Failed` ones fail in the cloud,
    /// `Pending` ones are never submitted with success, `Blocked` ones are not submitted at all.
    pub(crate) ends: DesktopState,
}

/// How a request has to end.
pub(crate) struct End {
    /// Reason of the condition `Ready`.
    pub(crate) ready: Reason,
    /// Reason of the condition `Submitted`.
    pub(crate) submitted: Reason,
    /// Is that the verdict (`completionTime` is set), or may it still change?
    pub(crate) is_final: bool,
    /// How many POSTs the cloud accepts.
    pub(crate) accepted: usize,
    /// A text that the message of `Ready` must hold.
    pub(crate) says: &'static str,
}

/// Code and reason with which the cloud fails to delete a desktop.
pub(crate) const FAILURE: (&str, &str) = ("WKS.00010500", "the port of the desktop could not be removed");

/// The right that the read-only project's key lacks.
const MISSING_ACTION: &str = "workspace:desktops:batchDelete";

/// All of them, in the order of their entrance.
pub(crate) const ROLES: [Role; 7] = [
    Role {
        letter: 'a',
        name: "a-three-desktops",
        story: "three desktops: the cloud deletes all of them",
        project: Project::Open,
        desktops: &[
            desktop(
                "a1e60b0e-58f4-4f5e-9a39-0c6d3c1b7a01",
                "pc-anna",
                DesktopState::Deleted,
            ),
            desktop(
                "a2e60b0e-58f4-4f5e-9a39-0c6d3c1b7a02",
                "pc-ben",
                DesktopState::Deleted,
            ),
            desktop(
                "a3e60b0e-58f4-4f5e-9a39-0c6d3c1b7a03",
                "pc-carla",
                DesktopState::Deleted,
            ),
        ],
        expected_users: &[],
        end: End {
            ready: Reason::AllDeleted,
            submitted: Reason::JobAccepted,
            is_final: true,
            accepted: 1,
            says: "3 desktops deleted",
        },
    },
    Role {
        letter: 'b',
        name: "b-already-gone",
        story: "a desktop that does not exist: nothing is sent",
        project: Project::Open,
        desktops: &[desktop(
            "b1e60b0e-58f4-4f5e-9a39-0c6d3c1b7b01",
            "pc-dora",
            DesktopState::Absent,
        )],
        expected_users: &[],
        end: End {
            ready: Reason::AlreadyAbsent,
            submitted: Reason::NothingToDelete,
            is_final: true,
            accepted: 0,
            says: "nothing was submitted",
        },
    },
    Role {
        letter: 'c',
        name: "c-one-fails",
        story: "two desktops: the cloud fails to delete one of them",
        project: Project::Open,
        desktops: &[
            desktop(
                "c1e60b0e-58f4-4f5e-9a39-0c6d3c1b7c01",
                "pc-emil",
                DesktopState::Deleted,
            ),
            desktop(
                "c2e60b0e-58f4-4f5e-9a39-0c6d3c1b7c02",
                "pc-fred",
                DesktopState::Failed,
            ),
        ],
        expected_users: &[],
        end: End {
            ready: Reason::PartiallyFailed,
            submitted: Reason::JobAccepted,
            is_final: true,
            accepted: 1,
            says: FAILURE.1,
        },
    },
    Role {
        letter: 'd',
        name: "d-not-permitted",
        story: "a project whose access key lacks a permission: the request waits until it is granted",
        project: Project::ReadOnly,
        desktops: &[desktop(
            "d1e60b0e-58f4-4f5e-9a39-0c6d3c1b7d01",
            "pc-gina",
            DesktopState::Pending,
        )],
        expected_users: &[],
        end: End {
            ready: Reason::PermissionDenied,
            submitted: Reason::PermissionDenied,
            is_final: false,
            accepted: 0,
            says: MISSING_ACTION,
        },
    },
    Role {
        letter: 'e',
        name: "e-crash",
        story: "the operator is killed before it receives the response to the accepted delete request",
        project: Project::Open,
        desktops: &[desktop(
            "e1e60b0e-58f4-4f5e-9a39-0c6d3c1b7e01",
            "pc-hugo",
            DesktopState::Deleted,
        )],
        expected_users: &[],
        end: End {
            ready: Reason::AllDeleted,
            submitted: Reason::JobRecovered,
            is_final: true,
            accepted: 1,
            says: "1 desktop deleted",
        },
    },
    Role {
        letter: 'f',
        name: "f-wrong-user",
        story: "two desktops, one of them assigned to another user than expected: nothing is sent",
        project: Project::Open,
        desktops: &[
            desktop(
                "f1e60b0e-58f4-4f5e-9a39-0c6d3c1b7f01",
                "pc-ida",
                DesktopState::Pending,
            ),
            desktop(
                "f2e60b0e-58f4-4f5e-9a39-0c6d3c1b7f02",
                "pc-jan",
                DesktopState::Blocked,
            ),
        ],
        expected_users: &["ida", "karl"],
        end: End {
            ready: Reason::ExpectationFailed,
            submitted: Reason::ExpectationFailed,
            is_final: false,
            accepted: 0,
            says: "it is assigned to jan, expected karl",
        },
    },
    Role {
        letter: 'g',
        name: "g-approval",
        story: "a project that requires an approval: nothing is sent until the plan is approved",
        project: Project::Guarded,
        desktops: &[
            desktop(
                "91e60b0e-58f4-4f5e-9a39-0c6d3c1b7901",
                "pc-lena",
                DesktopState::Deleted,
            ),
            desktop(
                "92e60b0e-58f4-4f5e-9a39-0c6d3c1b7902",
                "pc-mark",
                DesktopState::Deleted,
            ),
        ],
        expected_users: &[],
        end: End {
            ready: Reason::AllDeleted,
            submitted: Reason::JobAccepted,
            is_final: true,
            accepted: 1,
            says: "2 desktops deleted",
        },
    },
];

const fn desktop(id: &'static str, name: &'static str, ends: DesktopState) -> Desktop {
    Desktop { id, name, ends }
}

impl Desktop {
    /// Whom it is assigned to.
    pub(crate) fn user(&self) -> &'static str {
        self.name.trim_start_matches("pc-")
    }
}

impl Role {
    /// Ids of its desktops.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &'static str> {
        self.desktops.iter().map(|desktop| desktop.id)
    }

    /// Is the request where it has to end?
    pub(crate) fn has_arrived(&self, request: &DesktopDeletion) -> bool {
        let ready = reason(request, ConditionType::Ready) == self.end.ready.as_str();
        let submitted = reason(request, ConditionType::Submitted) == self.end.submitted.as_str();
        ready && submitted && is_finished(request) == self.end.is_final
    }
}

/// Has the request ended, for good or ill?
pub(crate) fn is_finished(request: &DesktopDeletion) -> bool {
    request
        .status
        .as_ref()
        .is_some_and(|status| status.completion_time.is_some())
}

/// Does the object name a job?
pub(crate) fn has_job(request: &DesktopDeletion) -> bool {
    request
        .status
        .as_ref()
        .is_some_and(|status| status.job_id.is_some())
}

/// A condition of a request.
pub(crate) fn condition(request: &DesktopDeletion, kind: ConditionType) -> Option<&Condition> {
    let conditions = &request.status.as_ref()?.conditions;
    conditions
        .iter()
        .find(|condition| condition.type_ == kind.as_str())
}

/// The reason of a condition, `-` without one.
pub(crate) fn reason(request: &DesktopDeletion, kind: ConditionType) -> &str {
    condition(request, kind).map_or("-", |condition| condition.reason.as_str())
}
