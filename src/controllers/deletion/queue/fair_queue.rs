//! Names by namespace and project: round-robin between namespaces, then between the projects of a namespace; first in,
//! first out within a project.

use std::collections::VecDeque;

/// Queues of names.
#[derive(Default)]
pub(super) struct FairQueue(VecDeque<(String, VecDeque<ProjectQueue>)>);

/// The names of one project that wait.
struct ProjectQueue {
    project: String,
    names: VecDeque<String>,
}

impl FairQueue {
    pub(super) fn push(&mut self, namespace: &str, project: &str, name: String) {
        let known = self.0.iter().position(|(own, _)| own == namespace);
        let at = known.unwrap_or_else(|| {
            self.0.push_back((namespace.to_owned(), VecDeque::new()));
            self.0.len() - 1
        });
        let queues = &mut self.0[at].1;
        match queues.iter_mut().find(|queue| queue.project == project) {
            Some(queue) => queue.names.push_back(name),
            None => queues.push_back(ProjectQueue {
                project: project.to_owned(),
                names: VecDeque::from([name]),
            }),
        }
    }

    /// The name in front of those whose namespace and project have room, and that namespace and project, which go to the
    /// end.
    pub(super) fn pop(
        &mut self,
        has_room: impl Fn(&(String, String)) -> bool,
    ) -> Option<(String, (String, String))> {
        let (at, of) = self.0.iter().enumerate().find_map(|(at, (namespace, queues))| {
            let open = |queue: &ProjectQueue| has_room(&(namespace.clone(), queue.project.clone()));
            queues.iter().position(open).map(|of| (at, of))
        })?;
        let (namespace, mut queues) = self.0.remove(at)?;
        let mut queue = queues.remove(of)?;
        let name = queue.names.pop_front();
        let project = (namespace.clone(), queue.project.clone());
        if !queue.names.is_empty() {
            queues.push_back(queue);
        }
        if !queues.is_empty() {
            self.0.push_back((namespace, queues));
        }
        name.map(|name| (name, project))
    }

    /// The waiting names of a project, in order.
    pub(super) fn waiting(&self, namespace: &str, project: &str) -> impl Iterator<Item = &str> {
        let queues = self.0.iter().filter(move |(own, _)| own == namespace);
        let queues = queues.flat_map(|(_, queues)| queues);
        queues
            .filter(move |queue| queue.project == project)
            .flat_map(|queue| queue.names.iter().map(String::as_str))
    }
}
