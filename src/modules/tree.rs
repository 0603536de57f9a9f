//! A template as a tree that knows where everything stands, placeholders included.

use std::ops::Range;

use granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, StrInput, StructureStyle};
use serde_json::Value;

use crate::{
    config::problems::Problem,
    modules::{
        placeholder::{Piece, PlaceholderKind, Token, pieces},
        scalar::meaning,
        source::{PROBLEMS_MAX, Source},
    },
};

/// Nesting beyond this is refused: no object needs it, and the stack is finite.
pub(super) const DEPTH_MAX: usize = 40;

/// A value of a template.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    /// Where it stands; of a list or a map only where it begins.
    pub(super) span: Range<usize>,
    pub(super) form: Form,
}

/// What a [`Tree`] is.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// A scalar without placeholders.
    Fixed(Value),
    /// A plain scalar that is a placeholder: its value stands there, of whatever type.
    Slot(usize),
    /// A text with placeholders in it.
    Text(Vec<Piece>),
    /// A text of several lines, some of which are placeholders.
    Lines(Vec<Line>),
    /// Items of a list.
    List(Vec<Item>),
    /// Pairs of a map.
    Map(Vec<Member>),
}

/// A line of a text.
#[derive(Clone, Debug)]
pub(super) enum Line {
    /// As it stands, with its break.
    Text(Vec<Piece>),
    /// A line for each item or pair, each with this before it.
    Each(String, usize),
}

/// Part of a list.
#[derive(Clone, Debug)]
pub(super) enum Item {
    /// One item.
    One(Tree),
    /// All items of a placeholder; the place has its dash.
    Each(Range<usize>, usize),
}

/// Part of a map.
#[derive(Clone, Debug)]
pub(super) enum Member {
    /// One pair: where the key stands, its text, the value.
    One(Range<usize>, Vec<Piece>, Tree),
    /// All pairs of a placeholder.
    Each(Range<usize>, usize),
}

/// What a text is made of.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Its documents that are not empty.
    pub(super) documents: Vec<Tree>,
    /// Its comments: offset, and text behind the `#`.
    pub(super) comments: Vec<(usize, String)>,
    /// The numbers of the placeholders that are no comments.
    pub(super) seen: Vec<usize>,
    /// What is wrong.
    pub(super) problems: Vec<Problem>,
    /// What ended the reading before the end of the text.
    pub(super) broken: Option<Problem>,
}

/// Reads a text whose placeholders are masked.
pub(super) fn read(source: &Source, masked: &str, tokens: &[Token]) -> Read {
    let mut options = Options::default();
    options.disallow_directives = true;
    options.strict_indentation = true;
    options.flow_nesting_limit = DEPTH_MAX;
    options.block_nesting_limit = DEPTH_MAX;
    options.max_buffered_comment_events = masked.len();
    let parser = Parser::new_from_str_with_options(masked, options);
    let mut reader = Reader { parser, source, masked, tokens, read: Read::default(), behind: 0, brackets: 0 };
    if let Err(problem) = reader.documents() {
        reader.read.broken = Some(problem);
    }
    reader.read
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    source: &'a Source,
    masked: &'a str,
    tokens: &'a [Token],
    read: Read,
    /// The end of the last node or comment.
    behind: usize,
    /// How many brackets are open.
    brackets: usize,
}

fn range(span: &Span) -> Range<usize> {
    let at = |marker: granit_parser::Marker| marker.byte_offset().unwrap_or_default();
    at(span.start)..at(span.end)
}

impl<'a> Reader<'a> {
    fn broken(&self, error: &ScanError) -> Problem {
        let at = error.marker().byte_offset().unwrap_or(self.masked.len());
        self.source.problem(at, format!("this is no YAML: {}", error.info()))
    }

    /// The next event but comments, which are kept.
    fn next(&mut self) -> Result<(Event<'a>, Range<usize>), Problem> {
        loop {
            match self.parser.next_event() {
                Some(Ok((Event::Comment(text, _), span))) => {
                    self.read.comments.push((range(&span).start, text.into_owned()));
                }
                Some(Ok((event, span))) => return Ok((event, range(&span))),
                Some(Err(error)) => return Err(self.broken(&error)),
                None => return Ok((Event::StreamEnd, 0..0)),
            }
        }
    }

    fn tell(&mut self, at: usize, what: impl Into<String>) {
        if self.read.problems.len() == PROBLEMS_MAX {
            return;
        }
        let problem = self.source.problem(at, what);
        self.read.problems.push(problem);
    }

    fn documents(&mut self) -> Result<(), Problem> {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(()),
                (Event::DocumentStart(..), place) => {
                    self.behind = place.end;
                    let (event, place) = self.next()?;
                    let tree = self.tree(event, place)?;
                    if !matches!(tree.form, Form::Fixed(Value::Null)) {
                        self.read.documents.push(tree);
                    }
                }
                _ => {}
            }
        }
    }

    fn tree(&mut self, event: Event<'a>, place: Range<usize>) -> Result<Tree, Problem> {
        let (anchor, tag) = match &event {
            Event::Alias(_) => {
                return Err(self.source.problem(place.start, "aliases are not allowed: write the value out"));
            }
            Event::Scalar(_, _, anchor, tag)
            | Event::SequenceStart(_, anchor, tag)
            | Event::MappingStart(_, anchor, tag) => (*anchor, tag.is_some()),
            _ => return Err(self.source.problem(place.start, "a value is missing here")),
        };
        if anchor != 0 {
            self.tell(place.start, "anchors are not allowed: write the value out where it is needed");
        }
        if tag {
            self.tell(place.start, "tags are not allowed: write a text in quotes, and everything else as it is");
        }
        match event {
            Event::SequenceStart(style, ..) => self.within(style, |it| it.list(style, place)),
            Event::MappingStart(style, ..) => self.within(style, |it| it.map(style, place)),
            Event::Scalar(text, style, ..) => Ok(self.scalar(&text, style, place)),
            _ => Err(self.source.problem(place.start, "a value is missing here")),
        }
    }

    fn within<T>(&mut self, style: StructureStyle, read: impl FnOnce(&mut Self) -> T) -> T {
        let bracket = usize::from(style == StructureStyle::Flow);
        self.brackets += bracket;
        let read = read(self);
        self.brackets -= bracket;
        read
    }

    fn list(&mut self, style: StructureStyle, span: Range<usize>) -> Result<Tree, Problem> {
        let mut items = vec![];
        loop {
            let (event, place) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                self.behind = self.behind.max(place.end);
                return Ok(Tree { span, form: Form::List(items) });
            }
            let tree = self.tree(event, place)?;
            match tree.form {
                Form::Slot(number) if self.kind(number) == Some(PlaceholderKind::List) => {
                    let dash = self.dash_before(tree.span.start).filter(|_| style == StructureStyle::Block);
                    let Some(dash) = dash else {
                        self.tell(tree.span.start, "write it as `key: $a{…}`, or as `- $a{…}` on a line of its own");
                        continue;
                    };
                    items.push(Item::Each(dash..tree.span.end, number));
                }
                _ => items.push(Item::One(tree)),
            }
        }
    }

    fn kind(&self, number: usize) -> Option<PlaceholderKind> {
        self.tokens.get(number)?.found.as_ref().ok().map(|found| found.kind)
    }

    fn dash_before(&self, start: usize) -> Option<usize> {
        let before = self.masked[..start].trim_end_matches(' ');
        before.ends_with('-').then_some(before.len() - 1)
    }

    fn map(&mut self, style: StructureStyle, span: Range<usize>) -> Result<Tree, Problem> {
        let mut members = vec![];
        loop {
            let (event, place) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                self.behind = self.behind.max(place.end);
                return Ok(Tree { span, form: Form::Map(members) });
            }
            let key = self.tree(event, place)?;
            let (event, place) = self.next()?;
            let value = self.tree(event, place)?;
            members.extend(self.member(style, key, value));
        }
    }

    fn member(&mut self, style: StructureStyle, key: Tree, value: Tree) -> Option<Member> {
        let at = key.span.start;
        let pieces = match key.form {
            Form::Fixed(Value::String(text)) if text == "<<" => {
                self.tell(at, "merge keys are not allowed: write the pairs out");
                return None;
            }
            Form::Fixed(Value::String(text)) => vec![Piece::Text(text)],
            Form::Slot(number) => match self.tokens.get(number).map(|token| (&token.range, &token.found)) {
                Some((line, Ok(found))) if found.is_line => {
                    let line = line.clone();
                    let is_bare = matches!(value.form, Form::Fixed(Value::Null)) && value.span.is_empty();
                    if style == StructureStyle::Flow || !is_bare {
                        self.tell(at, "nothing may stand below it, or in its brackets: give `$d{…}` a line of its own among the keys");
                        return None;
                    }
                    return Some(Member::Each(line, number));
                }
                Some((_, Ok(found))) if found.kind != PlaceholderKind::Value => {
                    self.tell(at, "a key is a text: use `$g{…}`");
                    return None;
                }
                _ => vec![Piece::Slot(number)],
            },
            Form::Text(pieces) => pieces,
            Form::Fixed(_) => {
                self.tell(at, "a key is a text: write it in quotes");
                return None;
            }
            Form::Lines(_) | Form::List(_) | Form::Map(_) => {
                self.tell(at, "a key is a text on one line");
                return None;
            }
        };
        Some(Member::One(key.span, pieces, value))
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, place: Range<usize>) -> Tree {
        let span = match style {
            ScalarStyle::Literal | ScalarStyle::Folded => self.block(&place),
            _ => place,
        };
        self.behind = self.behind.max(span.end);
        let found = pieces(text, self.tokens);
        let slots = found.iter().filter_map(|piece| match piece {
            Piece::Slot(number) => Some(*number),
            Piece::Text(_) => None,
        });
        self.read.seen.extend(slots);
        let form = match found[..] {
            [Piece::Slot(number)] if style == ScalarStyle::Plain => Form::Slot(number),
            [] | [Piece::Text(_)] if style == ScalarStyle::Plain => self.plain(text, &span),
            [] | [Piece::Text(_)] => Form::Fixed(text.into()),
            _ if style == ScalarStyle::Literal => Form::Lines(self.lines(text, &span)),
            _ => Form::Text(self.text(found, &span)),
        };
        Tree { span, form }
    }

    fn plain(&mut self, text: &str, span: &Range<usize>) -> Form {
        // YAML 1.2.2 has it as a text (7.3.3), libyaml and what was made after it as the sign of a key.
        if self.brackets > 0 && text.starts_with('?') {
            self.tell(
                span.start,
                "readers of YAML differ about a text in brackets that begins with `?`: write it in quotes",
            );
        }
        // A value that is left out comes as `~`, without a place.
        match meaning(if span.is_empty() { "" } else { text }) {
            Ok(value) => Form::Fixed(value),
            Err(what) => {
                self.tell(span.start, what);
                Form::Fixed(text.into())
            }
        }
    }

    fn text(&mut self, pieces: Vec<Piece>, span: &Range<usize>) -> Vec<Piece> {
        let is_value = |piece: &Piece| match piece {
            Piece::Slot(number) => self.kind(*number).is_none_or(|kind| kind == PlaceholderKind::Value),
            Piece::Text(_) => true,
        };
        if !pieces.iter().all(is_value) {
            self.tell(span.start, "only `$g{…}` may be part of a text: give `$a{…}` and `$d{…}` a line of their own");
        }
        pieces
    }

    /// The lines of a literal block.
    fn lines(&mut self, text: &str, span: &Range<usize>) -> Vec<Line> {
        text.split_inclusive('\n')
            .map(|line| {
                let found = pieces(line.trim_end(), self.tokens);
                let lead = |text: &str| text.trim_start_matches(' ').is_empty() || text.trim_start_matches(' ') == "- ";
                let (before, slot) = match &found[..] {
                    [Piece::Slot(number)] => (String::new(), *number),
                    [Piece::Text(before), Piece::Slot(number)] if lead(before) => (before.clone(), *number),
                    _ => return self.text_line(line, span),
                };
                match self.kind(slot) {
                    Some(PlaceholderKind::List | PlaceholderKind::Map) => Line::Each(before, slot),
                    _ => self.text_line(line, span),
                }
            })
            .collect()
    }

    fn text_line(&mut self, line: &str, span: &Range<usize>) -> Line {
        Line::Text(self.text(pieces(line, self.tokens), span))
    }

    /// A block from its `|` or `>` to its last character: the parser tells where the content begins.
    fn block(&self, content: &Range<usize>) -> Range<usize> {
        if self.masked[content.clone()].trim_end().is_empty() {
            return content.start..content.start;
        }
        let header = self.masked[..content.start].trim_end().rfind('\n').map_or(0, |at| at + 1).max(self.behind);
        let sign = self.masked[header..].find(['|', '>']).map_or(content.start, |at| header + at);
        sign..content.start + self.masked[content.clone()].trim_end().len()
    }
}
