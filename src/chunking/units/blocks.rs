//! Blocks of a text: headings, fenced code, tables, list items, paragraphs, lines.
//!
//! Line breaks decide here and nowhere else, so that a sentence's rules never see one. Markdown is
//! read as far as it says where a cut would hurt (`CommonMark` 0.31 and GFM's tables). Invariant:
//! spans begin at byte 0, are in order, and every line is looked at a fixed number of times.

use std::ops::Range;

use super::Gap;

/// Columns of prose that is wrapped by hand or by a program. Below are verses and captions, above
/// are files of one paragraph a line.
const WRAPPED_COLUMNS: std::ops::RangeInclusive<usize> = 40..=120;
/// Of a nearly full line, in eighths of the width: in text taken from pages, where letters differ in
/// width, lines do too.
const FILLED_EIGHTHS: usize = 7;
/// What no line within a sentence ends in.
const LINE_ENDS: [char; 11] = ['.', '!', '?', ':', ';', '…', '؟', '۔', '।', '։', '።'];
/// Marks that make a line a rule: a break between topics, the end of a front matter.
const RULE_MARKS: usize = 3;

/// A stretch of text up to the next one's start. Blank lines and rules are at its end.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Span {
    pub(super) start: usize,
    /// What is between it and the one before.
    pub(super) gap: Gap,
    /// Bytes that hold sentences; `None` where the span is never cut at one: a heading, a line of
    /// code, a table's row.
    pub(super) prose: Option<Range<usize>>,
}

/// The spans of `text`, one at least.
pub(super) fn spans(text: &str) -> Vec<Span> {
    let lines = lines(text);
    let closed = closed_fences(&lines);
    let page = Page { lines, closed };
    let mut spans = Vec::new();
    let mut after = Gap::Paragraph;
    let mut at = 0;
    while at < page.lines.len() {
        let (block, end) = page.block(at);
        let lines = &page.lines[at..end];
        let gap = match (after, block) {
            (Gap::Joined, _) => Gap::Joined,
            (_, Block::Heading) => Gap::Heading,
            (gap, _) if lines[0].after_blank => gap.max(Gap::Paragraph),
            (gap, _) => gap,
        };
        after = match block {
            Block::Heading => Gap::Joined,
            Block::Rule if gap == Gap::Joined => gap,
            Block::Rule => Gap::Paragraph,
            Block::Verbatim | Block::Paragraph => Gap::Line,
        };
        push_block(&mut spans, block, lines, gap);
        at = end;
    }
    match spans.first_mut() {
        Some(first) => first.start = 0,
        None => spans.push(Span { start: 0, gap: Gap::Paragraph, prose: None }),
    }
    spans
}

/// The spans of one block, `gap` before the first. A rule has none: it ends the span before.
fn push_block(spans: &mut Vec<Span>, block: Block, lines: &[Line], gap: Gap) {
    let last = &lines[lines.len() - 1];
    let (count, inner) = match block {
        Block::Rule => (0, gap),
        Block::Heading => (1, gap),
        Block::Verbatim => (lines.len(), Gap::Joined),
        Block::Paragraph if wrapped(lines) => (1, gap),
        Block::Paragraph => (lines.len(), Gap::Line),
    };
    for (index, line) in lines[..count].iter().enumerate() {
        let end = if count == 1 { last } else { line };
        spans.push(Span {
            start: line.start,
            gap: if index == 0 { gap } else { inner },
            prose: (block == Block::Paragraph).then(|| line.bytes().start..end.bytes().end),
        });
    }
}

/// A line that is not blank.
#[derive(Debug)]
struct Line<'a> {
    start: usize,
    /// Its text without the marks of a block quote and without white space around.
    content: &'a str,
    content_start: usize,
    /// Columns of white space before the content.
    indent: usize,
    /// Marks `>` of a block quote.
    quote: usize,
    /// Whether a blank line or a paragraph separator stands before it.
    after_blank: bool,
}

impl Line<'_> {
    fn bytes(&self) -> Range<usize> {
        self.content_start..self.content_start + self.content.len()
    }

    fn columns(&self) -> usize {
        self.indent + self.content.chars().count()
    }
}

/// Whether a line ends at `c`: where UAX 29 ends a paragraph.
pub(super) fn is_line_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// `line` without the marks of a block quote, and how many there are.
pub(super) fn unquoted(line: &str) -> (&str, usize) {
    let (mut inner, mut marks) = (line, 0);
    while let Some(quoted) = inner.trim_start_matches([' ', '\t']).strip_prefix('>') {
        inner = quoted;
        marks += 1;
    }
    (inner, marks)
}

/// The lines of `text` that are not blank.
fn lines(text: &str) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let (mut start, mut after_blank) = (0, false);
    while start < text.len() {
        let end = text[start..].find(is_line_break).map_or(text.len(), |length| start + length);
        let rest = &text[end..];
        let mark = rest.chars().next();
        let broken = if rest.starts_with("\r\n") { 2 } else { mark.map_or(0, char::len_utf8) };
        let (inner, quote) = unquoted(&text[start..end]);
        let trimmed = inner.trim_start();
        let content = trimmed.trim_end();
        if content.is_empty() {
            after_blank = true;
        } else {
            let indent = inner[..inner.len() - trimmed.len()].chars().count();
            let content_start = end - trimmed.len();
            lines.push(Line { start, content, content_start, indent, quote, after_blank });
            after_blank = mark == Some('\u{2029}');
        }
        start = end + broken;
    }
    lines
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Heading,
    /// A fenced block or a table.
    Verbatim,
    Rule,
    Paragraph,
}

/// A text's lines, and for each whether it opens a fence that some later line closes.
struct Page<'a> {
    lines: Vec<Line<'a>>,
    closed: Vec<bool>,
}

impl Page<'_> {
    /// What line `at` begins, and the line after its last.
    fn block(&self, at: usize) -> (Block, usize) {
        if self.closed[at]
            && let Some(open) = Fence::of(self.lines[at].content)
        {
            let inner = self.lines[at + 1..].iter();
            let length = inner.take_while(|line| !open.is_closed_by(line.content)).count();
            return (Block::Verbatim, at + 1 + length + 1);
        }
        let content = self.lines[at].content;
        if self.starts_table(at) {
            let rows = self.lines[at + 1..].iter();
            let rows = rows.take_while(|line| !line.after_blank && line.content.contains('|'));
            return (Block::Verbatim, at + 1 + rows.count());
        }
        if is_atx_heading(content) {
            return (Block::Heading, at + 1);
        }
        if is_rule(content) {
            return (Block::Rule, at + 1);
        }
        if self.is_underlined(at, &['=', '-']) {
            return (Block::Heading, at + 2);
        }
        let in_list = Marker::of(content).is_some();
        let end = (at + 1..self.lines.len()).find(|&next| self.interrupts(next, in_list));
        (Block::Paragraph, end.unwrap_or(self.lines.len()))
    }

    /// Whether line `at` cannot go on the paragraph that the line before it belongs to.
    fn interrupts(&self, at: usize, in_list: bool) -> bool {
        let line = &self.lines[at];
        // "1984. " may be where a sentence was wrapped; a list begins with its first item.
        let item = Marker::of(line.content).is_some_and(|marker| in_list || marker.is_first);
        item || line.after_blank
            || line.quote != self.lines[at - 1].quote
            || self.closed[at]
            || self.starts_table(at)
            || is_atx_heading(line.content)
            || is_rule(line.content)
            // Hyphens below a longer paragraph are more often a rule.
            || self.is_underlined(at, &['='])
    }

    /// Whether line `at` and the one below are a table's first rows.
    fn starts_table(&self, at: usize) -> bool {
        let [line, next, ..] = &self.lines[at..] else { return false };
        let bars = |line: &Line| line.content.starts_with('|');
        !next.after_blank
            && line.content.contains('|')
            && (is_delimiter_row(next.content) || (bars(line) && bars(next)))
    }

    /// Whether line `at` is a heading by the line of `marks` below it (setext).
    fn is_underlined(&self, at: usize, marks: &[char]) -> bool {
        let [line, next, ..] = &self.lines[at..] else { return false };
        let underline = || {
            let mut all = next.content.chars();
            let mark = all.next().filter(|mark| marks.contains(mark));
            mark.is_some_and(|mark| all.all(|c| c == mark)) && is_rule(next.content)
        };
        // A full stop is a paragraph's end, and then the line below is a rule.
        !next.after_blank
            && next.quote == line.quote
            && !line.content.ends_with('.')
            && Marker::of(line.content).is_none()
            && underline()
    }
}

/// Whether the lines of a paragraph are one text that was wrapped to a width. It is, where no line
/// had room for the next one's first word and lines end within sentences: one, if the width was
/// kept exactly, half of them if nearly.
fn wrapped(lines: &[Line]) -> bool {
    // What cannot be broken, an address say, may stand out and proves nothing.
    let breakable = |line: &&Line| line.content.contains(char::is_whitespace);
    let width = lines.iter().filter(breakable).map(Line::columns).max().unwrap_or(0);
    if lines.len() < 2 || !WRAPPED_COLUMNS.contains(&width) {
        return false;
    }
    let (mut exact, mut lower, mut caseless) = (true, 0, 0);
    for pair in lines.windows(2) {
        let word = pair[1].content.split_whitespace().next().unwrap_or_default();
        let filled = pair[0].columns() + 1 + word.chars().count();
        if breakable(&&pair[0]) {
            if filled * 8 <= width * FILLED_EIGHTHS {
                return false;
            }
            exact &= filled > width;
        }
        let first = word.chars().next().filter(|_| !pair[0].content.ends_with(LINE_ENDS));
        lower += usize::from(first.is_some_and(char::is_lowercase));
        // Where letters have no case, more lines must say so, and lines of words.
        let words = pair[0].content.split_whitespace().nth(2).is_some();
        let uncased = |c: char| c.is_alphabetic() && !c.is_lowercase() && !c.is_uppercase();
        caseless += usize::from(words && first.is_some_and(uncased));
    }
    (lower >= 1 || caseless >= 2) && (exact || 2 * (lower + caseless) >= lines.len() - 1)
}

/// A line that opens or closes a block of code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fence {
    mark: char,
    length: usize,
    /// Nothing follows the marks: only such a line closes a block.
    bare: bool,
}

impl Fence {
    fn of(content: &str) -> Option<Self> {
        let mark = content.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
        let info = content.trim_start_matches(mark);
        let length = content.len() - info.len();
        let inline = mark == '`' && info.contains('`');
        (length >= 3 && !inline).then_some(Self { mark, length, bare: info.is_empty() })
    }

    fn is_closed_by(self, content: &str) -> bool {
        let close = Self::of(content);
        close.is_some_and(|close| {
            close.bare && close.mark == self.mark && close.length >= self.length
        })
    }
}

/// For each line, whether it opens a fence that a later line closes. One that nothing closes is
/// no fence here: a stray one would forbid every cut to the end of the text.
fn closed_fences(lines: &[Line]) -> Vec<bool> {
    let mut longest = [0, 0];
    let mut closed: Vec<bool> = lines
        .iter()
        .rev()
        .map(|line| {
            let Some(fence) = Fence::of(line.content) else { return false };
            let longest = &mut longest[usize::from(fence.mark == '~')];
            let closed = *longest >= fence.length;
            if fence.bare {
                *longest = fence.length.max(*longest);
            }
            closed
        })
        .collect();
    closed.reverse();
    closed
}

/// What a list item begins with: "- ", "1. ", "b) ", "(iv) ".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Marker {
    /// It may begin a list.
    is_first: bool,
}

impl Marker {
    fn of(content: &str) -> Option<Self> {
        let end = content.find(char::is_whitespace).filter(|&end| end <= 12)?;
        let marker = &content[..end];
        if matches!(marker, "-" | "*" | "+" | "•" | "‣" | "◦" | "·" | "–" | "—") {
            return Some(Self { is_first: true });
        }
        let closing = marker.strip_suffix(')');
        let label = closing.or_else(|| marker.strip_suffix('.'))?;
        let label = label.strip_prefix('(').filter(|_| closing.is_some()).unwrap_or(label);
        let digits = label.bytes().all(|byte| byte.is_ascii_digit());
        let roman = label.len() <= 4 && label.bytes().all(|byte| b"ivx".contains(&byte));
        // "J. Smith" may be where a sentence was wrapped, "J) Smith" is not.
        let mut letters = label.chars();
        let letter = letters
            .next()
            .is_some_and(|c| c.is_lowercase() || (c.is_alphabetic() && closing.is_some()))
            && letters.next().is_none();
        (!label.is_empty() && (digits || roman || letter))
            .then_some(Self { is_first: matches!(label, "1" | "a" | "A" | "i") })
    }
}

fn is_atx_heading(content: &str) -> bool {
    let title = content.trim_start_matches('#');
    (1..=6).contains(&(content.len() - title.len())) && title.starts_with([' ', '\t'])
}

/// Marks alone: what `CommonMark` calls a thematic break, and underlines without a heading.
fn is_rule(content: &str) -> bool {
    let mark = |c: char| matches!(c, '-' | '*' | '_' | '=' | '~' | '+' | '#' | '`');
    content.chars().all(|c| mark(c) || c == ' ' || c == '\t')
        && content.chars().filter(|&c| mark(c)).take(RULE_MARKS).count() == RULE_MARKS
}

fn is_delimiter_row(content: &str) -> bool {
    content.chars().all(|c| matches!(c, '|' | '-' | ':' | ' ' | '\t'))
        && content.contains('|')
        && content.contains('-')
}

#[cfg(test)]
mod tests {
    use super::spans;
    use crate::chunking::units::Gap;

    /// The spans of `text`, their gaps and texts.
    fn check(text: &str, expected: &[(Gap, &str)]) {
        let spans = spans(text);
        let ends = spans.iter().skip(1).map(|span| span.start).chain([text.len()]);
        let found: Vec<(Gap, &str)> =
            spans.iter().zip(ends).map(|(span, end)| (span.gap, &text[span.start..end])).collect();
        assert_eq!(found, expected, "{text}");
    }

    use Gap::{Heading, Joined, Line, Paragraph};

    #[test]
    fn blank_lines_and_rules_end_paragraphs() {
        check(
            "\n\n a\n \t\nb\r\n\r\nc",
            &[(Paragraph, "\n\n a\n \t\n"), (Paragraph, "b\r\n\r\n"), (Paragraph, "c")],
        );
        check("a\n* * *\nb\n-----\n\n", &[(Paragraph, "a\n* * *\n"), (Heading, "b\n-----\n\n")]);
        check(
            "---\na: 1\nb: 2\n---\ntext",
            &[(Paragraph, "---\na: 1\n"), (Line, "b: 2\n---\n"), (Paragraph, "text")],
        );
        check(
            "a\u{2029}b\u{2028}c\u{85}d",
            &[(Paragraph, "a\u{2029}"), (Paragraph, "b\u{2028}"), (Line, "c\u{85}"), (Line, "d")],
        );
        check("", &[(Paragraph, "")]);
        check(" \n", &[(Paragraph, " \n")]);
        check("***", &[(Paragraph, "***")]);
    }

    #[test]
    fn headings_are_joined_to_what_follows() {
        check(
            "# A\n\ntext\n## B\n### C\nmore\n#tag",
            &[
                (Heading, "# A\n\n"),
                (Joined, "text\n"),
                (Heading, "## B\n"),
                (Joined, "### C\n"),
                (Joined, "more\n"),
                (Line, "#tag"),
            ],
        );
        check(
            "Title\n=====\ntext\nSub\n===\n\nmore",
            &[
                (Heading, "Title\n=====\n"),
                (Joined, "text\n"),
                (Heading, "Sub\n===\n\n"),
                (Joined, "more"),
            ],
        );
        // A full stop, a list item or a second line above: the hyphens are a rule.
        check("An end.\n---\nb", &[(Paragraph, "An end.\n---\n"), (Paragraph, "b")]);
        check("- item\n---\nb", &[(Paragraph, "- item\n---\n"), (Paragraph, "b")]);
    }

    #[test]
    fn fenced_blocks_and_tables_are_joined() {
        check(
            "a\n```rust\nfn x() {\n\n# no heading\n~~~\n}\n````\nb",
            &[
                (Paragraph, "a\n"),
                (Line, "```rust\n"),
                (Joined, "fn x() {\n\n"),
                (Joined, "# no heading\n"),
                (Joined, "~~~\n"),
                (Joined, "}\n"),
                (Joined, "````\n"),
                (Line, "b"),
            ],
        );
        // Nothing closes it.
        check("````\na\n```\nb", &[(Paragraph, "````\na\n```\n"), (Paragraph, "b")]);
        check(
            "| a | b |\n|---|---|\n| 1 | 2 |\n\nx | y\n",
            &[
                (Paragraph, "| a | b |\n"),
                (Joined, "|---|---|\n"),
                (Joined, "| 1 | 2 |\n\n"),
                (Paragraph, "x | y\n"),
            ],
        );
        check(
            "a | b\n--|--\n1 | 2\ntext",
            &[(Paragraph, "a | b\n"), (Joined, "--|--\n"), (Joined, "1 | 2\n"), (Line, "text")],
        );
        check("|a|\n|b|\n", &[(Paragraph, "|a|\n"), (Joined, "|b|\n")]);
    }

    #[test]
    fn lines_stay_apart_in_verse_lists_and_conversations() {
        for text in [
            "Shall I compare thee to a summer's day?\nThou art more lovely and more temperate:\n\
             Rough winds do shake the darling buds of May,\n",
            "- one\n- two\n  goes on\n1. three\n2. four\nb) five\n(iv) six\n\u{2022} seven\n",
            "Anna: Shall we begin with the remote control and its many buttons?\nBob: yes\n\
             Anna: Then the first point on the agenda is the budget, as always.\n",
            "\u{4eca}\u{5929}\u{5929}\u{6c14}\n\u{5f88}\u{597d}\n",
            "> quoted\nreply\n",
        ] {
            let lines: Vec<&str> = text.split_inclusive('\n').collect();
            let gaps = std::iter::once(Paragraph).chain(std::iter::repeat(Line));
            let expected: Vec<(Gap, &str)> = gaps.zip(lines).collect();
            check(text, &expected);
        }
    }

    #[test]
    fn a_wrapped_paragraph_is_one_span() {
        for text in [
            "The quick brown fox jumps over the lazy dog near\n\
             the bank of the river. In the cold and wet winter\n\
             of the year 1984. The fox came back, and nobody\n\
             ever knew why it did.\n",
            "> The quick brown fox jumps over the lazy dog in\n\
             > Paris, and then it sleeps until the morning\n\
             > comes and the sun is high.\n",
            "- The quick brown fox jumps over the lazy dog in\n\
             \x20 Paris, and then it sleeps until the morning\n\
             \x20 comes and the sun is high.\n",
            "See\n\
             https://example.org/a/very/long/address/that/no/program/can/ever/break/in/two\n\
             and then look at what else there is on the pages\n\
             that it leads to, if any.\n",
            "שלום עולם זה משפט ארוך מאוד שנכתב כדי לבדוק את\n\
             הכלל הזה בלי אותיות גדולות או קטנות ועם הרבה מאוד\n\
             מילים קצרות\n",
        ] {
            check(text, &[(Paragraph, text)]);
        }
    }
}
