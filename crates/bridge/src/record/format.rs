//! A record as a line: JSON, or CSV by RFC 4180. Pure.

use super::schema::{Cell, Record};
use crate::config::RecordFormat;

/// What a spreadsheet takes for a formula when a cell begins with it.
const FORMULA: [char; 4] = ['=', '+', '-', '@'];
/// Stands before such a text: a spreadsheet then takes the cell as text.
const AS_TEXT: char = '\'';

impl RecordFormat {
    /// The line of a record, with its end.
    pub(super) fn line(self, record: &Record) -> Vec<u8> {
        let mut line = match self {
            Self::Json => serde_json::to_vec(record).unwrap_or_default(),
            Self::Csv => row(record.cells()).into_bytes(),
        };
        line.push(b'\n');
        line
    }

    /// What stands on top of a new file.
    pub(super) fn head(self) -> Vec<u8> {
        match self {
            Self::Json => Vec::new(),
            Self::Csv => format!("{}\n", Record::FIELDS.join(",")).into_bytes(),
        }
    }
}

fn row(cells: Vec<Cell>) -> String {
    let cells: Vec<String> = cells.into_iter().map(written).collect();
    cells.join(",")
}

/// A cell as it stands in the line. Control characters are spaces: some readers end a line inside of quotes.
fn written(cell: Cell) -> String {
    let text = match cell {
        Cell::Empty => return String::new(),
        Cell::Plain(text) => return text,
        Cell::Text(text) => text.replace(char::is_control, " "),
    };
    let text = if text.trim_start().starts_with(FORMULA) { format!("{AS_TEXT}{text}") } else { text };
    if text.contains(['"', ',']) || text.starts_with(' ') || text.ends_with(' ') {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads one line as RFC 4180 says.
    fn read(line: &str) -> Vec<String> {
        let mut cells = vec![String::new()];
        let mut is_quoted = false;
        let mut rest = line.chars().peekable();
        while let Some(c) = rest.next() {
            let cell = cells.last_mut().expect("a cell");
            match c {
                '"' if is_quoted && rest.peek() == Some(&'"') => {
                    rest.next();
                    cell.push('"');
                }
                '"' => is_quoted = !is_quoted,
                ',' if !is_quoted => cells.push(String::new()),
                c => cell.push(c),
            }
        }
        assert!(!is_quoted, "an open quote: {line}");
        cells
    }

    fn line(format: RecordFormat, record: &Record) -> String {
        String::from_utf8(format.line(record)).expect("UTF-8")
    }

    fn csv(record: &Record) -> Vec<String> {
        let line = line(RecordFormat::Csv, record);
        read(line.strip_suffix('\n').expect("an end"))
    }

    fn at(field: &str) -> usize {
        Record::FIELDS.iter().position(|name| *name == field).expect(field)
    }

    #[test]
    fn csv_has_a_cell_for_each_field_and_empty_ones_where_nothing_is() {
        let record = Record { call: "1".to_owned(), talk_ms: Some(5), ..Record::default() };
        let cells = csv(&record);
        let head = String::from_utf8(RecordFormat::Csv.head()).expect("UTF-8");
        assert_eq!(read(head.trim_end()), Record::FIELDS);
        assert_eq!(cells.len(), Record::FIELDS.len());
        assert_eq!((cells[at("call")].as_str(), cells[at("talk_ms")].as_str()), ("1", "5"));
        assert_eq!(cells[at("wacid")], "");
        assert!(RecordFormat::Json.head().is_empty());
    }

    #[test]
    fn a_name_that_a_spreadsheet_would_execute_is_text_to_it() {
        for name in ["=1+1", "+49", "-2", "@SUM(A1)", "\t=1", "\r=1", "=HYPERLINK(\"http://x\",\"y\")"] {
            let record = Record { user_name: Some(name.to_owned()), ..Record::default() };
            assert_eq!(csv(&record)[at("user_name")], format!("'{}", name.replace(char::is_control, " ")));
            let json: serde_json::Value =
                serde_json::from_str(&line(RecordFormat::Json, &record)).expect("JSON");
            assert_eq!(json["user_name"], name, "JSON is no spreadsheet");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_one_cell_of_one_line(name in any::<String>(), dialled in "[\",\r\n =+@'a-]{0,12}") {
            let record = Record { user_name: Some(name.clone()), dialled: Some(dialled.clone()), ..Record::default() };
            let line = line(RecordFormat::Csv, &record);
            prop_assert_eq!(line.matches('\n').count(), 1);
            let cells = csv(&record);
            prop_assert_eq!(cells.len(), Record::FIELDS.len());
            for (field, text) in [("user_name", name), ("dialled", dialled)] {
                let text = text.replace(char::is_control, " ");
                let cell = &cells[at(field)];
                prop_assert!(!cell.trim_start().starts_with(FORMULA), "{:?}", cell);
                let as_text = format!("'{text}");
                prop_assert!([&text, &as_text].contains(&cell));
            }
        }

        #[test]
        fn json_is_one_line_that_reads_back(name in any::<String>()) {
            let record = Record { user_name: Some(name.clone()), q850: 16, ..Record::default() };
            let line = line(RecordFormat::Json, &record);
            prop_assert_eq!(line.matches('\n').count(), 1);
            let json: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            prop_assert_eq!(json["user_name"].as_str(), Some(name.as_str()));
            prop_assert_eq!(json["q850"].as_u64(), Some(16));
            prop_assert!(json["wacid"].is_null());
        }
    }
}
