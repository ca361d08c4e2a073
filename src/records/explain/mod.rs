//! A drawing of how a document was cut: the similarities of its units, the boundary curve, the
//! cuts, and the chunks' sizes against their limits.
//!
//! Invariant: the drawing is below a megabyte, however long the document.

mod canvas;
mod explained;
mod heat;
mod strip;

use std::io::{self, Write};

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use self::canvas::{Area, Failure, WIDTH};
pub use self::explained::Explained;
use self::heat::{Heat, LEVELS, color};
use self::strip::{LABEL, Scales, Strip};
use crate::files::{Destination, Error};

/// Pixels above the first strip, for title and legend.
const HEADER: i32 = 72;
/// Units on a strip before another one is begun, and the most strips.
const STRIP_UNITS: usize = 300;
const MAX_STRIPS: usize = 6;
/// The most cells of all strips' heat maps. One that differs from its neighbours takes 36 bytes.
const MAX_CELLS: usize = 17_000;
/// The most columns of a strip's heat map: five pixels each.
const MAX_COLUMNS: usize = 216;
/// The most rows of a strip's heat map.
const MAX_ROWS: usize = 60;
/// The most chunks of a strip that are drawn each by itself: four pixels each.
const STRIP_CHUNKS: usize = 270;

/// Draws `explained` as SVG.
///
/// # Errors
/// When it cannot be written.
///
/// # Panics
/// When there is not one token count a chunk.
pub fn explain(explained: &Explained<'_>, mut destination: Destination) -> Result<(), Error> {
    let (ends, tokens) = (explained.ends.len(), explained.chunk_tokens.len());
    assert_eq!(ends, tokens, "one token count a chunk");
    let mut svg = String::new();
    let drawn = draw(explained, &mut svg).map_err(io::Error::other);
    let written = drawn.and_then(|()| destination.write_all(svg.as_bytes()));
    written.map_err(|source| destination.write_error(source))?;
    destination.commit()
}

fn draw(explained: &Explained<'_>, svg: &mut String) -> Result<(), Failure> {
    let units = explained.units();
    let strips = units.div_ceil(STRIP_UNITS).clamp(1, MAX_STRIPS);
    let strip_units = units.div_ceil(strips).max(1);
    let distances = explained.distances();
    let columns = (2 * strip_units).min(MAX_COLUMNS);
    let rows = distances.min(MAX_ROWS).min(MAX_CELLS / (strips * columns));
    let ranges = (0..strips).map(|strip| strip * strip_units..(strip + 1) * strip_units);
    let heats: Vec<Heat> =
        ranges.map(|units| Heat::new(explained.band, units, distances, columns, rows)).collect();
    let together = explained.ends.len().div_ceil(strips * STRIP_CHUNKS).max(1);
    let scales = Scales {
        similarity: heat::range(&heats),
        distances,
        strength: explained.curve.iter().copied().fold(0.1, f32::max),
        tokens: shown_tokens(explained),
        together,
        bars: explained.bars(together),
    };
    let panels = if strips == 1 { [220, 110, 120] } else { [110, 56, 64] };
    let height = strip::height(panels);
    let size = (WIDTH as u32, (HEADER + strips as i32 * height) as u32);
    let root = SVGBackend::with_string(svg, size).into_drawing_area();
    root.fill(&WHITE)?;
    draw_header(&root, explained, &scales)?;
    for (index, heat) in heats.iter().enumerate() {
        let strip = Strip { root: &root, top: HEADER + index as i32 * height, panels };
        strip.draw(explained, heat, &scales)?;
    }
    root.present()
}

/// The top of the axis of tokens. A limit far above all chunks would leave them no height.
fn shown_tokens(explained: &Explained<'_>) -> usize {
    let largest = explained.chunk_tokens.iter().copied().max().unwrap_or(0).max(1);
    let limits = [explained.max_tokens, explained.target_tokens];
    let near = limits.into_iter().filter(|&limit| limit <= 4 * largest);
    near.max().unwrap_or(0).max(largest)
}

fn draw_header(root: &Area<'_>, explained: &Explained<'_>, scales: &Scales) -> Result<(), Failure> {
    let chunks = explained.ends.len();
    let title: String = explained.title.chars().take(100).map(printable).collect();
    let bold = ("sans-serif", 20).into_font().style(FontStyle::Bold);
    root.draw(&Text::new(title, (strip::LEFT, 10), bold))?;
    let tokens: usize = explained.chunk_tokens.iter().sum();
    let facts = format!(
        "{} units in {chunks} chunks of {} tokens on average, target {}, at most {}",
        explained.units(),
        tokens / chunks.max(1),
        explained.target_tokens,
        explained.max_tokens
    );
    root.draw(&Text::new(facts, (strip::LEFT, 33), LABEL.into_font()))?;
    let hint = "a cell is two units, in the middle between them: a dark triangle belongs together";
    let style = strip::anchored(strip::NUMBER, HPos::Right, VPos::Top);
    root.draw(&Text::new(hint, (WIDTH - strip::RIGHT, 33), style))?;
    let (cuts, sizes) = match scales.together {
        1 => ("| cut, with the chunk's number", "tokens of a chunk".to_owned()),
        many => {
            ("cuts are too many to be drawn", format!("tokens of the largest of {many} chunks"))
        }
    };
    let legend = [(cuts, strip::CUT), ("boundary strength", strip::CURVE), (&sizes, strip::BAR)];
    let mut x = strip::LEFT;
    for (text, color) in legend {
        root.draw(&Text::new(text, (x, 52), LABEL.into_font().color(&color)))?;
        x += 7 * text.len() as i32 + 24;
    }
    draw_color_bar(root, scales)
}

/// The colours of the heat map and what they stand for.
fn draw_color_bar(root: &Area<'_>, scales: &Scales) -> Result<(), Failure> {
    const CELL: i32 = 14;
    let (low, high) = scales.similarity;
    let right = WIDTH - strip::RIGHT - 32;
    let left = right - CELL * LEVELS as i32;
    for level in 0..LEVELS {
        let x = left + CELL * level as i32;
        root.draw(&Rectangle::new([(x, 51), (x + CELL, 64)], color(level).filled()))?;
    }
    let label = LABEL.into_font();
    let low = format!("cosine of units {low:.2}");
    root.draw(&Text::new(low, (left - 125, 52), label.clone()))?;
    root.draw(&Text::new(format!("{high:.2}"), (right + 6, 52), label))
}

/// XML has no place for control characters, not even escaped.
fn printable(c: char) -> char {
    if c.is_control() || ('\u{fffe}'..='\u{ffff}').contains(&c) { '\u{fffd}' } else { c }
}

#[cfg(test)]
mod tests {
    use super::strip::{BAR, CUT, LEFT, RIGHT};
    use super::*;
    use crate::similarity::Band;

    /// A document with its drawing's input.
    struct Case {
        band: Band,
        curve: Vec<f32>,
        ends: Vec<usize>,
        tokens: Vec<usize>,
    }

    /// Units in chunks of `chunk_units` and less, with similarities that do not repeat.
    fn case(units: usize, width: usize, chunk_units: usize) -> Case {
        let mut state = 1_u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32
        };
        let mut ends: Vec<usize> = (1..units).filter(|end| end % chunk_units == 0).collect();
        ends.extend((units > 0).then_some(units));
        Case {
            band: Band::new((0..units * width).map(|_| random()).collect(), width),
            curve: (1..units).map(|_| random()).collect(),
            tokens: ends.iter().map(|_| 50 + (150.0 * random()) as usize).collect(),
            ends,
        }
    }

    impl Case {
        fn explained(&self) -> Explained<'_> {
            Explained {
                title: "a title",
                band: &self.band,
                curve: &self.curve,
                ends: &self.ends,
                chunk_tokens: &self.tokens,
                max_tokens: 256,
                target_tokens: 200,
            }
        }

        fn draw(&self) -> String {
            drawn(&self.explained())
        }
    }

    fn drawn(explained: &Explained<'_>) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("drawing.svg");
        explain(explained, Destination::file(&path, false).unwrap()).unwrap();
        let svg = std::fs::read_to_string(path).unwrap();
        check_xml(&svg);
        svg
    }

    /// Elements are closed in order, attributes quoted, and `<`, `&` and control characters
    /// nowhere else.
    fn check_xml(text: &str) {
        let mut open = Vec::new();
        let mut parts = text.split('<');
        assert_eq!(parts.next(), Some(""));
        for part in parts {
            let (tag, content) = part.split_once('>').unwrap();
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name));
            } else {
                let tag_alone = tag.strip_suffix('/');
                let (name, attributes) = tag_alone.unwrap_or(tag).split_once(' ').unwrap();
                for attribute in attributes.trim().split("\" ") {
                    let (name, value) = attribute.split_once("=\"").unwrap();
                    assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{name}");
                    assert!(!value.trim_end_matches('"').contains('"'), "{value}");
                }
                if tag_alone.is_none() {
                    open.push(name);
                }
            }
            assert!(!open.is_empty() || content.trim().is_empty(), "{content}");
        }
        assert!(open.is_empty(), "{open:?}");
        let entities = ["&lt;", "&gt;", "&amp;", "&quot;", "&apos;"];
        for (at, _) in text.match_indices('&') {
            assert!(entities.iter().any(|entity| text[at..].starts_with(entity)));
        }
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    }

    fn hex(color: RGBColor) -> String {
        format!("#{:02X}{:02X}{:02X}", color.0, color.1, color.2)
    }

    /// The attributes of all elements of a name and colour.
    fn elements(svg: &str, name: &str, color: RGBColor, attributes: &[&str]) -> Vec<Vec<String>> {
        let value = |element: &str, attribute: &str| {
            let rest = element.split(&format!(" {attribute}=\"")).nth(1).unwrap();
            rest.split('"').next().unwrap().to_owned()
        };
        let named = svg.lines().filter(|line| line.starts_with(&format!("<{name} ")));
        let colored = named.filter(|line| line.contains(&format!("=\"{}\"", hex(color))));
        let values = |line: &str| attributes.iter().map(|name| value(line, name)).collect();
        colored.map(values).collect()
    }

    /// Where each cut is drawn.
    fn cuts(svg: &str) -> Vec<i32> {
        let points = elements(svg, "polyline", CUT, &["points"]);
        points.iter().map(|points| points[0].split(',').next().unwrap().parse().unwrap()).collect()
    }

    /// The height of each bar.
    fn bars(svg: &str) -> Vec<usize> {
        let heights = elements(svg, "rect", BAR, &["height"]);
        heights.iter().map(|height| height[0].parse().unwrap()).collect()
    }

    #[test]
    fn every_cut_and_every_chunk_stands_where_it_belongs() {
        let case = case(60, 24, 13);
        let svg = case.draw();
        let pixels = f64::from(WIDTH - LEFT - RIGHT) / 60.0;
        let cuts = cuts(&svg);
        assert_eq!(cuts.len(), 4);
        for (cut, end) in cuts.iter().zip(&case.ends) {
            let place = f64::from(LEFT) + *end as f64 * pixels;
            assert!((f64::from(*cut) - place).abs() <= 1.0, "{cut} of {end}");
        }
        let bars = bars(&svg);
        assert_eq!(bars.len(), 5);
        for (bar, tokens) in bars.iter().zip(&case.tokens) {
            // The axis is as high as the limit and a little more.
            let height = *tokens as f64 / (256.0 * 1.08) * 120.0;
            assert!((*bar as f64 - height).abs() <= 1.5, "{bar} for {tokens}");
        }
        for text in ["a title", "60 units in 5 chunks", "max", "target", "units apart"] {
            assert!(svg.contains(text), "{text}");
        }
    }

    #[test]
    fn a_long_document_is_drawn_on_several_strips() {
        let case = case(1_700, 24, 10);
        let svg = case.draw();
        assert_eq!((cuts(&svg).len(), bars(&svg).len()), (169, 170 + 4));
    }

    #[test]
    fn no_drawing_is_above_a_megabyte() {
        for (units, chunk_units) in [(100_000, 8), (16_000, 10), (5_000, 1), (100_000, 100_000)] {
            let svg = case(units, 64, chunk_units).draw();
            assert!(svg.len() < 1_000_000, "{} bytes for {units} units", svg.len());
        }
    }

    #[test]
    fn chunks_that_are_too_many_share_bars() {
        let mut case = case(100_000, 8, 5);
        let largest = 17_321;
        case.tokens[largest] = 250;
        let svg = case.draw();
        assert_eq!(cuts(&svg).len(), 0);
        let bars = bars(&svg);
        assert!(bars.len() < 6 * STRIP_CHUNKS + 6, "{}", bars.len());
        assert_eq!(bars.iter().filter(|bar| **bar > 50).count(), 1);
        assert!(svg.contains("tokens of the largest of 13 chunks"));
    }

    #[test]
    fn little_or_nothing_can_be_drawn() {
        for (units, width) in [(0, 1), (1, 1), (2, 2), (3, 1)] {
            let svg = case(units, width, 2).draw();
            assert_eq!(bars(&svg).len(), units.div_ceil(2));
        }
        let mut case = case(20, 5, 3);
        (case.band, case.curve) = (Band::new(Vec::new(), 5), Vec::new());
        let svg = case.draw();
        assert_eq!((cuts(&svg).len(), bars(&svg).len()), (6, 7));
        assert!(svg.contains("no similarities"));
    }

    #[test]
    fn a_limit_far_above_all_chunks_is_left_out() {
        let case = case(20, 5, 3);
        let explained = Explained { max_tokens: 1_000_000, ..case.explained() };
        let svg = drawn(&explained);
        assert!(bars(&svg).into_iter().max().unwrap() > 60);
        assert!(svg.contains("at most 1000000") && !svg.contains("\nmax\n"));
    }

    #[test]
    fn a_title_is_text_whatever_it_holds() {
        let case = case(5, 5, 2);
        let title = "</text><script>\u{0}\u{1b}&\"'\u{ffff}\n".repeat(40);
        let svg = drawn(&Explained { title: &title, ..case.explained() });
        assert!(!svg.contains("<script"));
    }
}
