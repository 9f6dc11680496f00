//! CSV (RFC 4180) that a spreadsheet shows and never runs.

use std::io::{self, Write};

/// Its type. The mark of UTF-8 comes first, or Excel reads it as something else.
pub(super) const KIND: &str = "text/csv; charset=utf-8";

/// The mark of UTF-8, to be written before the first row.
pub(super) fn begin(out: &mut dyn Write) -> io::Result<()> {
    out.write_all("\u{feff}".as_bytes())
}

/// Writes a row.
pub(super) fn row(out: &mut dyn Write, cells: &[&str]) -> io::Result<()> {
    let mut line = String::new();
    for (place, cell) in cells.iter().enumerate() {
        if place > 0 {
            line.push(',');
        }
        put(cell, &mut line);
    }
    line.push_str("\r\n");
    out.write_all(line.as_bytes())
}

/// What begins like a formula gets an apostrophe before it (OWASP, CSV injection): spreadsheets then take it for text.
fn put(cell: &str, line: &mut String) {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠', '|', '%']);
    if !formula && !cell.contains([',', '"', '\n', '\r', ';', '\t']) {
        line.push_str(cell);
        return;
    }
    line.push('"');
    if formula {
        line.push('\'');
    }
    line.push_str(&cell.replace('"', "\"\""));
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for (cell, written) in [
            ("Noordzee", "Noordzee"),
            ("a,b", "\"a,b\""),
            ("a \"b\"", "\"a \"\"b\"\"\""),
            ("=1+1", "\"'=1+1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("-2", "\"'-2\""),
            ("\t=1", "\"'\t=1\""),
            ("", ""),
        ] {
            let mut out = Vec::new();
            row(&mut out, &[cell, "x"]).expect("memory takes everything");
            assert_eq!(String::from_utf8(out).expect("text"), format!("{written},x\r\n"));
        }
    }
}
