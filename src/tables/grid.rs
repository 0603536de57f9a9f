//! Rows in columns, no wider than a terminal.

use anstyle::Style;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::harmless::harmless;

/// Between two columns.
const GAP: usize = 2;

/// Stands for what was cut off.
const ELLIPSIS: char = '…';

/// How a column is cut where the rows are too wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// Cut first, at its end.
    Detail,
    /// Cut next, at its end.
    Text,
    /// Cut after the texts, in its middle: the end of a Job's name tells it from the others.
    Name,
    /// Numbers and times, cut last.
    Short,
}

/// The order in which columns are cut, and how much each keeps before the next are.
const CUTS: [(Column, usize); 7] = [
    (Column::Detail, 16),
    (Column::Text, 24),
    (Column::Name, 24),
    (Column::Detail, 8),
    (Column::Text, 10),
    (Column::Name, 10),
    (Column::Short, 4),
];

/// A text and how it looks.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// With a look.
    pub(super) fn styled(text: &str, style: Style) -> Self {
        Self { text: harmless(text), style }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::styled(&text, Style::new())
    }
}

/// A header and its rows, in at most `width` columns of a terminal.
pub(super) fn grid(header: &[(&str, Column)], rows: &[Vec<Cell>], width: usize) -> String {
    let natural = |index: usize| {
        let cells = rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.text.width());
        cells.chain([header[index].0.width()]).max().unwrap_or_default()
    };
    let mut widths: Vec<usize> = (0..header.len()).map(natural).collect();
    fit(header, &mut widths, width);
    let titles: Vec<Cell> = header.iter().map(|(title, _)| Cell::from((*title).to_owned())).collect();
    let lines = std::iter::once(&titles).chain(rows);
    lines.map(|row| line(row, header, &widths) + "\n").collect()
}

/// Takes from the columns in their order, from the last to the first, what is too much.
fn fit(header: &[(&str, Column)], widths: &mut [usize], width: usize) {
    let gaps = GAP * header.len().saturating_sub(1);
    for (kind, kept) in CUTS {
        for index in (0..widths.len()).rev().filter(|index| header[*index].1 == kind) {
            let over = (widths.iter().sum::<usize>() + gaps).saturating_sub(width);
            let title = header[index].0.width();
            let spare = widths[index].saturating_sub(kept.max(title));
            widths[index] -= over.min(spare);
        }
    }
}

fn line(row: &[Cell], header: &[(&str, Column)], widths: &[usize]) -> String {
    let mut line = String::new();
    let mut owed = 0;
    for ((cell, (_, kind)), width) in row.iter().zip(header).zip(widths) {
        let text = cut(&cell.text, *width, *kind);
        // Spaces are written only before something: no line ends with them.
        if !text.is_empty() {
            line.extend(std::iter::repeat_n(' ', owed));
            owed = 0;
            line.push_str(&format!("{}{text}{:#}", cell.style, cell.style));
        }
        owed += width.saturating_sub(text.width()) + GAP;
    }
    line
}

/// A text in at most so many columns of a terminal.
fn cut(text: &str, width: usize, kind: Column) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(1);
    let tail_room = if kind == Column::Name { room / 3 } else { 0 };
    let head = head(text.chars(), room - tail_room);
    let tail: Vec<char> = self::head(text.chars().rev(), tail_room);
    head.into_iter().chain([ELLIPSIS]).chain(tail.into_iter().rev()).collect()
}

/// The first characters that fit.
fn head(chars: impl Iterator<Item = char>, room: usize) -> Vec<char> {
    let mut taken = 0;
    let fits = |char: &char| {
        taken += char.width().unwrap_or_default();
        taken <= room
    };
    chars.take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use anstyle::AnsiColor;

    use super::*;

    const HEADER: [(&str, Column); 3] = [("NAME", Column::Name), ("N", Column::Short), ("WHY", Column::Text)];

    fn rows(names: &[(&str, &str)]) -> Vec<Vec<Cell>> {
        let row = |(name, why): &(&str, &str)| {
            vec![Cell::from((*name).to_owned()), Cell::from("7".to_owned()), Cell::from((*why).to_owned())]
        };
        names.iter().map(row).collect()
    }

    #[test]
    fn what_fits_is_left_as_it_is() {
        let told = grid(&HEADER, &rows(&[("mail", "full"), ("漢字", "")]), 80);
        assert_eq!(told, "NAME  N  WHY\nmail  7  full\n漢字  7\n");
    }

    #[test]
    fn texts_are_cut_before_names_and_numbers_never() {
        let rows = rows(&[("job-chief-aaaaaa-thumbnails-0123456789", &"why ".repeat(20))]);
        for (width, wanted) in [
            (70, "job-chief-aaaaaa-thumbnails-0123456789  7  why why why why why why wh…"),
            (60, "job-chief-aaaaaa-thu…0123456789  7  why why why why why why…"),
        ] {
            let told = grid(&HEADER, &rows, width);
            let line = told.lines().nth(1).expect("a row");
            assert!(line.width() <= width, "{line}");
            assert_eq!(line.trim_end(), wanted, "{width}");
        }
        for width in 30..120 {
            let told = grid(&HEADER, &rows, width);
            assert!(told.lines().all(|line| line.width() <= width), "{width}: {told}");
        }
    }

    #[test]
    fn wide_characters_count_as_two_columns() {
        let told = grid(&HEADER, &rows(&[("a", &"漢字".repeat(40))]), 40);
        assert!(told.lines().all(|line| line.width() <= 40), "{told}");
    }

    #[test]
    fn a_colour_is_no_column_and_ends_with_its_cell() {
        let red = Cell::styled("bad\u{1b}[0m", AnsiColor::Red.on_default());
        let told = grid(&[("A", Column::Text), ("B", Column::Text)], &[vec![red, Cell::from("x".to_owned())]], 80);
        assert_eq!(told, "A        B\n\u{1b}[31mbad�[0m\u{1b}[0m  x\n");
    }
}
