//! Random choices.

/// Throws, in the order in which they are asked for.
#[derive(Debug)]
pub(crate) struct Dice(std::vec::IntoIter<u8>);

impl Dice {
    pub(crate) fn new(throws: Vec<u8>) -> Self {
        Self(throws.into_iter())
    }

    /// One of `ways`; the first in more than half of all throws, and always once they are used up.
    pub(crate) fn throw(&mut self, ways: u8) -> u8 {
        match self.0.next().unwrap_or_default() {
            0..150 => 0,
            other => other % ways,
        }
    }

    /// Whether something bad happens that seldom does.
    pub(crate) fn bad(&mut self) -> bool {
        self.0.next().unwrap_or_default() >= 230
    }

    /// From here on all goes well.
    pub(crate) fn is_used_up(&self) -> bool {
        self.0.len() == 0
    }
}
