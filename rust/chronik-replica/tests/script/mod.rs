//! Scripts with golden traces: a file of commands, each followed by what it makes happen.
//!
//! A file is prose (lines that begin with `#`) and blocks. A block is commands, one a line, a line `----`, and the
//! expected trace of all of them, up to an empty line. `UPDATE_SCRIPTS=1` writes the traces anew.

mod stage;
mod telling;

use std::fmt::Write;
use std::path::Path;

use stage::Stage;
pub(crate) use stage::Variant;

/// A piece of a script file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Prose(String),
    Block { line: usize, commands: Vec<String>, trace: String },
}

/// A script file in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Script {
    pieces: Vec<Piece>,
}

const RULE: &str = "----";

impl Script {
    pub(crate) fn read(path: &Path) -> Script {
        let text =
            std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Script::parse(&text)
    }

    fn parse(text: &str) -> Script {
        let mut pieces = Vec::new();
        let mut lines = text.lines().enumerate().peekable();
        while let Some((at, first)) = lines.next() {
            if first.is_empty() {
                continue;
            }
            let mut piece = vec![first.to_owned()];
            while let Some((_, line)) = lines.next_if(|(_, line)| !line.is_empty()) {
                piece.push(line.to_owned());
            }
            if first.starts_with('#') {
                pieces.push(Piece::Prose(in_lines(&piece)));
                continue;
            }
            let rule = piece.iter().position(|line| line == RULE);
            let rule = rule.unwrap_or_else(|| panic!("line {}: no {RULE} after `{first}`", at + 1));
            let trace = in_lines(&piece.split_off(rule)[1..]);
            pieces.push(Piece::Block { line: at + 1, commands: piece, trace });
        }
        Script { pieces }
    }

    /// The script with the traces that its commands leave now.
    pub(crate) fn play(&self, variant: Variant) -> Script {
        let mut stage = Stage::new(variant);
        let played = |piece: &Piece| match piece {
            Piece::Prose(_) => piece.clone(),
            Piece::Block { line, commands, .. } => {
                Piece::Block { line: *line, commands: commands.clone(), trace: stage.run(commands) }
            }
        };
        Script { pieces: self.pieces.iter().map(played).collect() }
    }

    pub(crate) fn write(&self) -> String {
        let text = |piece: &Piece| match piece {
            Piece::Prose(text) => text.clone(),
            Piece::Block { commands, trace, .. } => format!("{}{RULE}\n{trace}", in_lines(commands)),
        };
        self.pieces.iter().map(text).collect::<Vec<_>>().join("\n")
    }

    /// The first difference to what was played, for a person to read; `None` if there is none.
    pub(crate) fn difference(&self, name: &str, played: &Script) -> Option<String> {
        let pairs = self.pieces.iter().zip(&played.pieces);
        let (expected, found) = pairs.into_iter().find(|(expected, found)| expected != found)?;
        let (Piece::Block { line, commands, trace: expected }, Piece::Block { trace: found, .. }) =
            (expected, found)
        else {
            return Some(format!("{name}: the prose changed"));
        };
        let mut text =
            format!("{name}:{line}: `{}` left another trace (- expected, + found)\n", commands.join("`, `"));
        for (sign, line) in changes(&expected.lines().collect::<Vec<_>>(), &found.lines().collect::<Vec<_>>())
        {
            writeln!(text, "{sign} {line}").unwrap();
        }
        text.push_str("UPDATE_SCRIPTS=1 writes it anew, if that is right");
        Some(text)
    }
}

fn in_lines(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// A line diff: the longest common subsequence stays, the rest goes (`-`) or comes (`+`).
fn changes<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(char, &'a str)> {
    let mut common = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for (i, before) in old.iter().enumerate().rev() {
        for (j, after) in new.iter().enumerate().rev() {
            common[i][j] = if before == after {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut lines = Vec::new();
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push((' ', old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            lines.push(('-', old[i]));
            i += 1;
        } else {
            lines.push(('+', new[j]));
            j += 1;
        }
    }
    lines
}

#[test]
fn a_script_is_read_as_it_is_written_and_differences_are_shown() {
    let text = "# Prose\n# of two lines.\n\ntick 1\ntick 3\n----\none\ntwo\n\ntick 2\n----\n";
    let script = Script::parse(text);
    assert_eq!(script.write(), text);
    assert_eq!(script.difference("x", &script), None);
    let other = Script::parse(&text.replace("two\n\n", "three\n\n"));
    let difference = script.difference("x", &other).unwrap();
    assert!(difference.starts_with("x:4: `tick 1`, `tick 3` left another trace"), "{difference}");
    assert!(difference.contains("\n  one\n- two\n+ three\n"), "{difference}");
}
