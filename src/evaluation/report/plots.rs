//! The plots of a report, as SVG.

use std::io;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::evaluation::bootstrap::Difference;
use crate::evaluation::comparison::format_value;
use crate::records::Run;

/// What keeps a plot from being drawn.
pub(super) type Failure = DrawingAreaErrorKind<io::Error>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Pixels of a plot.
const WIDTH: u32 = 900;
const HEIGHT: u32 = 360;
/// Pixels of a bar with the space around it, of the names beside bars, and of an axis.
const BAR: i32 = 30;
const NAMES: i32 = 330;
const AXIS: i32 = 40;
/// Pixels of the values behind bars, and letters of a name.
const VALUES: i32 = 110;
const NAME_LETTERS: usize = 48;
/// Runs whose values are drawn; more lines cannot be told apart.
const MAX_LINES: usize = 7;
/// Colours that people who confuse red and green can tell apart (Okabe and Ito 2008).
const COLORS: [RGBColor; MAX_LINES] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
];

/// A bar for the mean of `metric` in each run, with its interval.
pub(super) fn means(metric: &str, means: &[(&str, Difference)]) -> Result<String, Failure> {
    let lowest = means.iter().map(|(_, mean)| mean.low).fold(0.0, f64::min);
    let highest = means.iter().map(|(_, mean)| mean.high).fold(f64::MIN_POSITIVE, f64::max);
    let room = f64::from(WIDTH as i32 - NAMES - VALUES);
    let x = |value: f64| NAMES + ((value - lowest) / (highest - lowest) * room) as i32;
    svg(BAR as u32 * means.len() as u32 + 10, |area| {
        for (index, (name, mean)) in means.iter().enumerate() {
            let top = BAR * index as i32 + 8;
            let middle = top + BAR / 2 - 4;
            area.draw_text(&shorten(name), &style(HPos::Right), (NAMES - 8, middle))?;
            let bar = [(x(0.0), top), (x(mean.mean), top + BAR - 8)];
            area.draw(&Rectangle::new(bar, COLORS[0].mix(0.55).filled()))?;
            let interval = vec![(x(mean.low), middle), (x(mean.high), middle)];
            area.draw(&PathElement::new(interval, BLACK.stroke_width(2)))?;
            let value = format_value(metric, mean.mean);
            area.draw_text(&value, &style(HPos::Left), (x(mean.high.max(0.0)) + 8, middle))?;
        }
        Ok(())
    })
}

/// The values of `metric` in each run, sorted: for each share of the items the value that they do
/// not exceed.
pub(super) fn distributions(metric: &str, runs: &[Run]) -> Result<String, Failure> {
    let sorted = runs.iter().map(|run| {
        let mut values = run.values(metric);
        values.sort_by(f64::total_cmp);
        (shorten(&run.name), values)
    });
    let lines = sorted.filter(|(_, values)| !values.is_empty()).take(MAX_LINES);
    let lines: Vec<(String, Vec<f64>)> = lines.collect();
    let all = lines.iter().flat_map(|(_, values)| values.iter().copied());
    let label = |value: &f64| format_value(metric, *value);
    svg(HEIGHT, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .x_label_area_size(AXIS)
            .y_label_area_size(2 * AXIS)
            .build_cartesian_2d(0.0..100.0, range(all))?;
        chart.configure_mesh().x_desc("items, %").y_label_formatter(&label).draw()?;
        for (color, (name, values)) in COLORS.into_iter().zip(&lines) {
            let share = |index: usize| 100.0 * (index as f64 + 0.5) / values.len() as f64;
            let points = values.iter().enumerate().map(|(index, &value)| (share(index), value));
            let line = LineSeries::new(points, color.stroke_width(2));
            let mark = move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], color);
            chart.draw_series(line)?.label(name).legend(mark);
        }
        let mut names = chart.configure_series_labels();
        names.position(SeriesLabelPosition::UpperLeft).background_style(WHITE.mix(0.8));
        names.draw()
    })
}

/// A point for each run: the mean tokens of its chunks, and its mean of `metric`.
pub(super) fn sizes(metric: &str, points: &[(&str, f64, f64)]) -> Result<String, Failure> {
    let x = range(points.iter().map(|point| point.1));
    let y = range(points.iter().map(|point| point.2));
    let label = |value: &f64| format_value(metric, *value);
    svg(HEIGHT, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .x_label_area_size(AXIS)
            .y_label_area_size(2 * AXIS)
            .build_cartesian_2d(x, y)?;
        chart.configure_mesh().x_desc("tokens of a chunk").y_label_formatter(&label).draw()?;
        chart.draw_series(points.iter().map(|&(name, x, y)| {
            EmptyElement::at((x, y))
                + Circle::new((0, 0), 4, COLORS[0].filled())
                + Text::new(shorten(name), (7, -6), ("sans-serif", 12).into_font())
        }))?;
        Ok(())
    })
}

/// What `draw` draws on an area of [`WIDTH`] and `height`.
fn svg(
    height: u32,
    draw: impl FnOnce(&Area<'_>) -> Result<(), Failure>,
) -> Result<String, Failure> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
    draw(&area)?;
    area.present()?;
    drop(area);
    Ok(svg)
}

/// Text that begins or ends at a point, half above it.
fn style(side: HPos) -> TextStyle<'static> {
    ("sans-serif", 13).into_text_style(&(WIDTH, HEIGHT)).pos(Pos::new(side, VPos::Center))
}

/// A name that leaves room for the plot.
fn shorten(name: &str) -> String {
    if name.chars().count() <= NAME_LETTERS {
        return name.to_owned();
    }
    name.chars().take(NAME_LETTERS - 1).chain(['…']).collect()
}

/// From the least to the greatest value and a twentieth more on either side.
fn range(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    let margin = ((high - low) / 20.0).max(1e-3);
    low - margin..high + margin
}
