//! A report as plain text, for a terminal.

use std::fmt::Write;

use super::{Block, Head, Part, Table, words};

/// Characters in a line of sentences.
const WIDTH: usize = 112;

/// The text of a report.
pub fn plain(head: &Head, report: &Part) -> String {
    let mut out = String::new();
    for (name, value) in words::head(head) {
        let _ = writeln!(out, "{:11} {value}", words::capital(name));
    }
    let _ = writeln!(out, "\n{}\n", report.heading.to_uppercase());
    blocks(&mut out, &report.blocks, 0);
    out
}

fn blocks(out: &mut String, all: &[Block], depth: usize) {
    for block in all {
        match block {
            Block::Facts(facts) => {
                facts
                    .iter()
                    .for_each(|(name, value)| wrapped(out, &format!("{name}: {value}"), "  ", "      "));
                out.push('\n');
            }
            Block::List(points) => {
                points.iter().for_each(|point| wrapped(out, point, "  - ", "    "));
                out.push('\n');
            }
            Block::Part(part) => {
                let _ = writeln!(out, "{}", part.heading);
                if depth == 0 {
                    let _ = writeln!(out, "{}", "-".repeat(part.heading.chars().count()));
                }
                blocks(out, &part.blocks, depth + 1);
            }
            Block::Say(text) => {
                wrapped(out, text, "  ", "  ");
                out.push('\n');
            }
            Block::Table(found) => {
                table(out, found);
                out.push('\n');
            }
        }
    }
}

/// Words in lines, none longer than [`WIDTH`] unless one word is.
fn wrapped(out: &mut String, text: &str, first: &str, rest: &str) {
    let mut line = first.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            out.push_str(line.trim_end());
            out.push('\n');
            rest.clone_into(&mut line);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

/// A table whose columns are as wide as what is in them.
fn table(out: &mut String, table: &Table) {
    let width = |column: usize| {
        let cells = table.rows.iter().map(|row| row[column].chars().count());
        cells.chain([table.heads[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..table.heads.len()).map(width).collect();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::from(" ");
        for (cell, width) in cells.zip(&widths) {
            let _ = write!(text, " {cell:width$} ");
        }
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line(&mut table.heads.iter().copied());
    for row in &table.rows {
        line(&mut row.iter().map(String::as_str));
    }
}
