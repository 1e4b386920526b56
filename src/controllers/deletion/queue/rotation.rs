//! Names by namespace and project: namespaces take turns, then the projects of a namespace, then those who came first.

use std::collections::VecDeque;

/// Queues of names.
#[derive(Default)]
pub(super) struct Rotation(VecDeque<(String, VecDeque<ProjectQueue>)>);

/// The names of one project that wait.
struct ProjectQueue {
    project: String,
    names: VecDeque<String>,
}

impl Rotation {
    pub(super) fn push(&mut self, namespace: &str, project: &str, name: String) {
        let known = self.0.iter().position(|(own, _)| own == namespace);
        let at = known.unwrap_or_else(|| {
            self.0.push_back((namespace.to_owned(), VecDeque::new()));
            self.0.len() - 1
        });
        let lines = &mut self.0[at].1;
        match lines.iter_mut().find(|line| line.project == project) {
            Some(line) => line.names.push_back(name),
            None => lines.push_back(ProjectQueue {
                project: project.to_owned(),
                names: VecDeque::from([name]),
            }),
        }
    }

    /// The name in front of those whose namespace and project have room, and that namespace and project, which go to the end.
    pub(super) fn pop(
        &mut self,
        has_room: impl Fn(&(String, String)) -> bool,
    ) -> Option<(String, (String, String))> {
        let (at, of) = self.0.iter().enumerate().find_map(|(at, (namespace, lines))| {
            let open = |line: &ProjectQueue| has_room(&(namespace.clone(), line.project.clone()));
            lines.iter().position(open).map(|of| (at, of))
        })?;
        let (namespace, mut lines) = self.0.remove(at)?;
        let mut line = lines.remove(of)?;
        let name = line.names.pop_front();
        let project = (namespace.clone(), line.project.clone());
        if !line.names.is_empty() {
            lines.push_back(line);
        }
        if !lines.is_empty() {
            self.0.push_back((namespace, lines));
        }
        name.map(|name| (name, project))
    }

    /// Those of a project who wait, in their order.
    pub(super) fn waiting(&self, namespace: &str, project: &str) -> impl Iterator<Item = &str> {
        let lines = self.0.iter().filter(move |(own, _)| own == namespace);
        let lines = lines.flat_map(|(_, lines)| lines);
        lines
            .filter(move |line| line.project == project)
            .flat_map(|line| line.names.iter().map(String::as_str))
    }
}
