//! Where the demo writes: a terminal, on which a table is redrawn in place, or a pipe, which gets line after line.

use std::io::{IsTerminal, Write};

use tokio::time::Instant;

/// Clears from the cursor to the end of the screen.
const CLEAR: &str = "\x1b[J";
/// Lines longer than the terminal is wide are cut off, so that a table takes as many rows as it has lines.
const WRAP_OFF: &str = "\x1b[?7l";
const WRAP_ON: &str = "\x1b[?7h";

/// Standard output, with the time since the start.
pub(crate) struct Screen {
    begun: Instant,
    terminal: bool,
    /// How many rows the table on the terminal takes.
    drawn: usize,
}

impl Screen {
    pub(crate) fn new() -> Self {
        Self {
            begun: Instant::now(),
            terminal: std::io::stdout().is_terminal(),
            drawn: 0,
        }
    }

    /// Can what was written be redrawn?
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// A line with the time since the start; on a terminal it goes above the table, which the next `draw` restores.
    pub(crate) fn say(&mut self, line: &str) {
        let seconds = self.begun.elapsed().as_secs_f64();
        self.print(&format!("{seconds:6.1} s  {line}"));
    }

    /// A line as it is.
    pub(crate) fn print(&mut self, line: &str) {
        let erased = self.erase();
        write(&format!("{erased}{line}\n"));
    }

    /// Puts a table in place of the last one. Only for terminals.
    pub(crate) fn draw(&mut self, lines: &[String]) {
        let erased = self.erase();
        let table = lines.join("\n");
        write(&format!("{erased}{WRAP_OFF}{table}{WRAP_ON}\n"));
        self.drawn = lines.len();
    }

    /// Leaves the last table where it is; what follows goes below it.
    pub(crate) fn let_stand(&mut self) {
        self.drawn = 0;
    }

    fn erase(&mut self) -> String {
        match std::mem::take(&mut self.drawn) {
            0 => String::new(),
            rows => format!("\x1b[{rows}A{CLEAR}"),
        }
    }
}

/// A reader that went away, as `head` does, is no reason to stop.
fn write(text: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).ok();
}

/// Rows with their cells padded to columns; the last column is not padded.
pub(crate) fn columns(rows: &[Vec<String>]) -> Vec<String> {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..count).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}
