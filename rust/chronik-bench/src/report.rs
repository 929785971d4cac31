//! What was measured: a table for people, JSON for programs.

use std::fmt::Write;

/// Verdict on a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Reached.
    Ok,
    /// Not reached.
    Missed,
    /// There is no target, or nothing to compare with.
    None,
    /// Not measured; the row says why.
    Skipped,
}

impl Verdict {
    /// Reached or not.
    pub fn of(reached: bool) -> Verdict {
        if reached { Verdict::Ok } else { Verdict::Missed }
    }

    fn text(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Missed => "MISSED",
            Verdict::None => "-",
            Verdict::Skipped => "skipped",
        }
    }
}

/// One line of the table.
#[derive(Debug, Clone)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// What came out.
    pub reached: String,
    /// The limit or peer of the same run.
    pub limit: String,
    /// How the two relate: median and range over the rounds.
    pub ratio: String,
    /// What was to be reached.
    pub target: String,
    /// Whether it was.
    pub verdict: Verdict,
    /// Cores used by generator and server; empty where that says nothing.
    pub cpu: String,
    /// What makes the number doubtful: `busy`, `client-bound`.
    pub marks: Vec<&'static str>,
}

impl Row {
    /// A row for something that could not be measured here.
    pub fn skipped(what: &str, target: &str, why: &str) -> Row {
        Row {
            what: what.into(),
            reached: why.into(),
            limit: String::new(),
            ratio: String::new(),
            target: target.into(),
            verdict: Verdict::Skipped,
            cpu: String::new(),
            marks: Vec::new(),
        }
    }

    /// A number by itself, without a target.
    pub fn plain(what: &str, reached: String) -> Row {
        Row { reached, verdict: Verdict::None, ..Row::skipped(what, "", "") }
    }

    fn cells(&self) -> [String; 8] {
        [
            self.what.clone(),
            self.reached.clone(),
            self.limit.clone(),
            self.ratio.clone(),
            self.target.clone(),
            self.verdict.text().to_owned(),
            self.cpu.clone(),
            self.marks.join(", "),
        ]
    }
}

/// A run's rows and the circumstances they were measured in.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Name and value: machine, versions, command line.
    pub circumstances: Vec<(String, String)>,
    /// The rows in order.
    pub rows: Vec<Row>,
}

const COLUMNS: [&str; 8] =
    ["what", "reached", "limit or peer", "ratio (range)", "target", "", "cores client/server", "marks"];
const JSON_NAMES: [&str; 8] = ["what", "reached", "limit", "ratio", "target", "verdict", "cpu", "marks"];

impl Report {
    /// The table.
    pub fn table(&self) -> String {
        let rows: Vec<[String; 8]> =
            std::iter::once(COLUMNS.map(str::to_owned)).chain(self.rows.iter().map(Row::cells)).collect();
        let mut widths = [0; 8];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for (name, value) in &self.circumstances {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name}: {value}");
        }
        for row in &rows {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }

    /// The same as JSON: an object with `circumstances` and `rows`, all values being strings.
    pub fn json(&self) -> String {
        let pair = |(name, value): &(String, String)| format!("{}: {}", quoted(name), quoted(value));
        let circumstances: Vec<String> = self.circumstances.iter().map(pair).collect();
        let rows = self.rows.iter().map(|row| {
            let pairs = JSON_NAMES.iter().zip(row.cells()).map(|(name, cell)| (name.to_string(), cell));
            let pairs: Vec<String> = pairs.map(|named| pair(&named)).collect();
            format!("    {{{}}}", pairs.join(", "))
        });
        let rows: Vec<String> = rows.collect();
        format!(
            "{{\n  \"circumstances\": {{{}}},\n  \"rows\": [\n{}\n  ]\n}}\n",
            circumstances.join(", "),
            rows.join(",\n")
        )
    }

    /// Whether any target was missed in a run without marks.
    pub fn missed(&self) -> bool {
        self.rows.iter().any(|row| row.verdict == Verdict::Missed && row.marks.is_empty())
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            control if control.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(control));
            }
            plain => quoted.push(plain),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(verdict: Verdict, marks: Vec<&'static str>) -> Row {
        Row { verdict, marks, ..Row::skipped("a \"b\"", "≥ 1", "2 µs") }
    }

    #[test]
    fn columns_line_up_and_circumstances_come_first() {
        let report = Report {
            circumstances: vec![("cpu".into(), "test".into())],
            rows: vec![row(Verdict::Ok, vec!["busy"])],
        };
        let table = report.table();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0], "cpu: test");
        let column = |line: &str, word: &str| line.find(word).map(|at| line[..at].chars().count());
        assert_eq!(column(lines[1], "marks"), column(lines[2], "busy"));
    }

    #[test]
    fn json_escapes_what_it_must() {
        let report = Report {
            circumstances: vec![("tab\t".into(), "\\".into())],
            rows: vec![row(Verdict::None, vec![])],
        };
        let json = report.json();
        assert!(json.contains(r#""tab\u0009": "\\""#) && json.contains(r#""a \"b\"""#), "{json}");
    }

    #[test]
    fn only_an_unmarked_miss_counts() {
        let report = |marks| Report { rows: vec![row(Verdict::Missed, marks)], ..Report::default() };
        assert!(report(vec![]).missed());
        assert!(!report(vec!["busy"]).missed());
    }
}
