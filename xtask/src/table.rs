//! Tables of figures for people.

/// Rows under headings; the first column is text, the others are figures.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Begins a table with its headings.
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|heading| (*heading).to_owned()).collect()] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Returns the table as text, columns aligned.
    pub(crate) fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cell = |row: &Vec<String>, column: usize| row.get(column).cloned().unwrap_or_default();
        let width = |column| {
            self.rows.iter().map(|row| cell(row, column).chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut lines: Vec<String> = Vec::new();
        for row in &self.rows {
            let cells = widths.iter().enumerate().map(|(column, width)| match column {
                0 => format!("{:<width$}", cell(row, column)),
                _ => format!("{:>width$}", cell(row, column)),
            });
            lines.push(cells.collect::<Vec<_>>().join("  ").trim_end().to_owned());
        }
        lines.insert(
            1,
            widths.iter().map(|width| "─".repeat(*width)).collect::<Vec<_>>().join("  "),
        );
        lines.join("\n")
    }
}

/// Writes a number of bytes with thin groups: `1 234 567`.
pub(crate) fn bytes(count: u64) -> String {
    let digits = count.to_string();
    let groups: Vec<&[u8]> = digits.as_bytes().rchunks(3).rev().collect();
    groups.iter().map(|group| String::from_utf8_lossy(group)).collect::<Vec<_>>().join(" ")
}

/// Writes thousandths as `0.530`.
pub(crate) fn thousandths(count: u64) -> String {
    format!("{}.{:03}", count / 1000, count % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stand_under_their_headings() {
        let mut table = Table::new(&["step", "bytes"]);
        table.row(["a long one".to_owned(), bytes(1234)]);
        assert_eq!(table.text(), "step        bytes\n──────────  ─────\na long one  1 234");
    }

    #[test]
    fn bytes_are_grouped_and_thousandths_have_three_digits() {
        assert_eq!([bytes(0), bytes(999), bytes(1_000_000)], ["0", "999", "1 000 000"]);
        assert_eq!([thousandths(5), thousandths(1250)], ["0.005", "1.250"]);
    }
}
