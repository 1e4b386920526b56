//! One state. Versions only grow, and are compared for equality.

use desktop_deletion_operator::crd::deletion::Outcome as ShippedOutcome;

/// How many desktops each request names. The limit of a day is less than all of them.
pub const DESKTOPS: [u8; 2] = [2, 1];

/// Desktops that the project takes within a day.
pub const LIMIT: u8 = 2;

/// Operators that believe they lead.
pub const OPERATORS: usize = 2;

/// How much may happen on one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Operators that crash, and calls that are lost or whose responses are.
    pub faults: u8,
    /// Requests that people change or delete.
    pub user_actions: u8,
    /// Attempts for which something is reserved.
    pub attempts: u8,
}

/// All there is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    /// The project, as it is stored.
    pub project: Project,
    /// The requests, as they are stored.
    pub requests: [Request; 2],
    /// What each operator is about with each request.
    pub reconciliations: [[Option<Reconciliation>; 2]; OPERATORS],
    /// What the first operator has read to settle reservations.
    pub settling: Option<Settling>,
    /// The attempts whose calls took effect, and how many desktops they name.
    pub effects: Vec<(u8, u8)>,
    /// What may still happen.
    pub left: Budget,
    /// The next attempt.
    pub next: u8,
    /// What was broken.
    pub wrong: Option<&'static str>,
}

/// The status of the project.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Project {
    /// Its resourceVersion.
    pub version: u8,
    /// Desktops that were submitted.
    pub submitted: u8,
    /// What is reserved.
    pub reservations: Vec<Reserved>,
}

/// A reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reserved {
    /// Of which request.
    pub request: usize,
    /// The version of the request then.
    pub version: u8,
    /// For which attempt.
    pub attempt: u8,
    /// For so many desktops.
    pub desktops: u8,
}

/// An object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Request {
    /// Its resourceVersion.
    pub version: u8,
    /// Attempts and their outcomes.
    pub attempts: Vec<(u8, Outcome)>,
    /// What its conditions say.
    pub says: String,
    /// It was deleted.
    pub gone: bool,
}

/// A reconciliation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reconciliation {
    /// The request as it was read or written last.
    pub request: Request,
    /// The project as it was read or written last, if that was a moment ago.
    pub project: Option<Project>,
    /// It has the permit to send.
    pub permit: bool,
    /// The attempt that desktops were reserved for.
    pub reserved: Option<u8>,
    /// The attempt that is signed, and whether its signature may still be used.
    pub armed: Option<(u8, bool)>,
    /// What the cloud answered.
    pub answered: Option<(u8, Outcome)>,
}

/// What reservations are settled by: the project, and each request as it was read after it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Settling {
    /// The project.
    pub project: Project,
    /// The requests.
    pub requests: [Request; 2],
}

/// The outcome of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the words of the API
pub enum Outcome {
    Pending,
    NotSent,
    Rejected,
    Accepted,
    Adopted,
    NoEffect,
}

impl Outcome {
    /// In the words of the API.
    pub fn shipped(self) -> ShippedOutcome {
        match self {
            Self::Pending => ShippedOutcome::Pending,
            Self::NotSent => ShippedOutcome::NotSent,
            Self::Rejected => ShippedOutcome::Rejected,
            Self::Accepted => ShippedOutcome::Accepted,
            Self::Adopted => ShippedOutcome::Adopted,
            Self::NoEffect => ShippedOutcome::NoEffect,
        }
    }
}

impl World {
    /// Both requests were just created.
    pub fn beginning(budget: Budget) -> Self {
        let request = || Request {
            version: 0,
            attempts: vec![],
            says: String::new(),
            gone: false,
        };
        Self {
            project: Project {
                version: 0,
                submitted: 0,
                reservations: vec![],
            },
            requests: [request(), request()],
            reconciliations: [const { [const { None }; 2] }; OPERATORS],
            settling: None,
            effects: vec![],
            left: budget,
            next: 0,
            wrong: None,
        }
    }

    /// Desktops that were submitted in truth.
    pub fn effective(&self) -> u8 {
        self.effects.iter().map(|(_, desktops)| desktops).sum()
    }

    /// An operator can still make the call of that attempt.
    pub fn can_be_sent(&self, attempt: u8) -> bool {
        let mut reconciliations = self.reconciliations.iter().flatten().flatten();
        reconciliations.any(|reconciliation| reconciliation.armed == Some((attempt, true)))
    }
}

impl Request {
    /// The attempt whose outcome is open.
    pub fn pending(&self) -> Option<u8> {
        let mut attempts = self.attempts.iter();
        attempts
            .find(|(_, outcome)| *outcome == Outcome::Pending)
            .map(|(attempt, _)| *attempt)
    }

    /// It was submitted, which is all that is asked here.
    pub fn is_submitted(&self) -> bool {
        let effective = |outcome: Outcome| matches!(outcome, Outcome::Accepted | Outcome::Adopted);
        self.attempts.iter().any(|(_, outcome)| effective(*outcome))
    }

    /// Stores the outcome of an attempt, unless one is stored already.
    pub fn settle(&mut self, attempt: u8, outcome: Outcome) {
        let mut attempts = self.attempts.iter_mut();
        let open = attempts.find(|stored| **stored == (attempt, Outcome::Pending));
        if let Some(open) = open {
            open.1 = outcome;
            self.version += 1;
        }
    }
}
