//! One strip of the drawing: heat map, curve and bars of some of the units, above one another.

use std::ops::Range;

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::canvas::{Area, Failure, WIDTH};
use super::explained::{Bar, Explained};
use super::heat::{Heat, LEVELS, color};

pub(super) const CUT: RGBColor = RGBColor(200, 55, 26);
pub(super) const CURVE: RGBColor = RGBColor(20, 20, 20);
pub(super) const BAR: RGBColor = RGBColor(84, 130, 98);
const LIMIT: RGBColor = RGBColor(110, 60, 140);
pub(super) const NUMBER: RGBColor = RGBColor(70, 70, 70);

pub(super) const LABEL: (&str, i32) = ("sans-serif", 14);

/// Pixels beside the panels.
pub(super) const LEFT: i32 = 64;
pub(super) const RIGHT: i32 = 56;
/// Pixels for the numbers of units below a strip, with the space to the next one.
const FOOT: i32 = 46;
/// Pixels between panels, the second for chunks' numbers.
const GAPS: [i32; 2] = [8, 18];
/// The most points of a strip's curve.
const MAX_POINTS: usize = 540;

/// Pixels of a strip with such panels.
pub(super) fn height(panels: [i32; 3]) -> i32 {
    panels.iter().sum::<i32>() + GAPS.iter().sum::<i32>() + FOOT
}

/// What the axes of all strips span.
pub(super) struct Scales {
    /// Values of the first and the last colour.
    pub(super) similarity: (f32, f32),
    pub(super) distances: usize,
    pub(super) strength: f32,
    pub(super) tokens: usize,
    pub(super) bars: Vec<Bar>,
    /// Chunks that share a bar; more than one where there are too many to draw each.
    pub(super) together: usize,
}

/// Where a strip stands.
pub(super) struct Strip<'a, 'b> {
    pub(super) root: &'a Area<'b>,
    /// The pixel of its upper edge.
    pub(super) top: i32,
    /// Pixels of its panels: heat map, curve, bars.
    pub(super) panels: [i32; 3],
}

/// A panel, by its values; it begins and ends where its axes do.
type Panel<'b> = DrawingArea<SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

impl<'b> Strip<'_, 'b> {
    pub(super) fn draw(
        &self,
        explained: &Explained<'_>,
        heat: &Heat,
        scales: &Scales,
    ) -> Result<(), Failure> {
        let units = &heat.units;
        let [map, curve, bars] = self.panels;
        let tops = [0, map + GAPS[0], map + GAPS[0] + curve + GAPS[1]];
        let far = scales.distances as f64 + 0.5;
        let area = self.panel(tops[0]..tops[0] + map, units, 0.5..far, "units apart")?;
        draw_heat(&area, heat, scales)?;
        if explained.band.is_empty() {
            let middle = (WIDTH / 2, self.top + map / 2);
            let note = "no similarities: the cuts were made without them";
            self.root.draw(&Text::new(
                note,
                middle,
                anchored(NUMBER, HPos::Center, VPos::Center),
            ))?;
        }
        let strength = 0.0..f64::from(scales.strength) * 1.05;
        let area = self.panel(tops[1]..tops[1] + curve, units, strength, "strength")?;
        draw_curve(&area, explained.curve, units)?;
        let tokens = 0.0..scales.tokens as f64 * 1.08;
        let area = self.panel(tops[2]..tops[2] + bars, units, tokens, "tokens")?;
        self.draw_chunks(&area, units, scales)?;
        self.draw_limits(&area, explained, scales)?;
        let below = (WIDTH - RIGHT + 16, self.top + tops[2] + bars + 8);
        let style = anchored(NUMBER, HPos::Left, VPos::Top);
        self.root.draw(&Text::new("unit", below, style))
    }

    /// Axes, and the area between them. The lowest panel, of tokens, has the numbers of units.
    fn panel(
        &self,
        rows: Range<i32>,
        units: &Range<usize>,
        values: Range<f64>,
        name: &str,
    ) -> Result<Panel<'b>, Failure> {
        let foot = if name == "tokens" { 22 } else { 0 };
        let height = rows.end - rows.start + foot;
        let area = self.root.clone().shrink((0, self.top + rows.start), (WIDTH, height));
        let mut chart = ChartBuilder::on(&area)
            .margin_right(RIGHT)
            .set_label_area_size(LabelAreaPosition::Left, LEFT)
            .set_label_area_size(LabelAreaPosition::Bottom, foot)
            .build_cartesian_2d(units.start as f64..units.end as f64, values)?;
        let whole = |value: &f64| {
            if value.fract() == 0.0 { format!("{value}") } else { String::new() }
        };
        let hundredths = |value: &f64| format!("{value:.2}");
        let label: &dyn Fn(&f64) -> String = if name == "strength" { &hundredths } else { &whole };
        let mut mesh = chart.configure_mesh();
        mesh.disable_mesh().axis_style(RGBColor(120, 120, 120)).label_style(LABEL);
        mesh.y_desc(name).y_labels(4).y_label_formatter(label);
        mesh.x_labels(if foot > 0 { 13 } else { 0 }).x_label_formatter(&whole).draw()?;
        Ok(chart.plotting_area().clone())
    }

    /// Bars, and the cuts through all panels with the chunks' numbers. What goes on from the strip
    /// before is drawn without a number.
    fn draw_chunks(
        &self,
        area: &Panel<'_>,
        units: &Range<usize>,
        scales: &Scales,
    ) -> Result<(), Failure> {
        let pixel = |unit: usize, tokens: usize| area.map_coordinate(&(unit as f64, tokens as f64));
        let bottom = pixel(units.start, 0).1;
        let numbers = self.top + self.panels[0] + GAPS[0] + self.panels[1] + 3;
        let mut free = 0;
        let here = |bar: &&Bar| bar.units.end > units.start && bar.units.start < units.end;
        for bar in scales.bars.iter().filter(here) {
            let (left, top) = pixel(bar.units.start.max(units.start), bar.tokens);
            let right = pixel(bar.units.end.min(units.end), 0).0;
            let gap = i32::from(right - left > 2);
            let corners = [(left + gap, top), (right, bottom)];
            self.root.draw(&Rectangle::new(corners, BAR.filled()))?;
            if scales.together > 1 || bar.units.start < units.start {
                continue;
            }
            if bar.units.start > 0 {
                let line = vec![(left, self.top), (left, bottom)];
                self.root.draw(&PathElement::new(line, CUT))?;
            }
            let (text, middle) = (bar.chunk.to_string(), i32::midpoint(left, right));
            let half = 7 * text.len() as i32 / 2 + 2;
            if middle - half >= free {
                let style = anchored(NUMBER, HPos::Center, VPos::Top);
                self.root.draw(&Text::new(text, (middle, numbers), style))?;
                free = middle + half;
            }
        }
        Ok(())
    }

    /// Target and limit, where chunks come near them.
    fn draw_limits(
        &self,
        area: &Panel<'_>,
        explained: &Explained<'_>,
        scales: &Scales,
    ) -> Result<(), Failure> {
        let limits = [
            ("max", explained.max_tokens, VPos::Bottom),
            ("target", explained.target_tokens, VPos::Top),
        ];
        for (name, tokens, side) in limits {
            if tokens <= scales.tokens {
                let right = WIDTH - RIGHT;
                let y = area.map_coordinate(&(0.0, tokens as f64)).1;
                self.root.draw(&PathElement::new(vec![(LEFT, y), (right, y)], LIMIT))?;
                let style = anchored(LIMIT, HPos::Left, side);
                self.root.draw(&Text::new(name, (right + 4, y), style))?;
            }
        }
        Ok(())
    }
}

pub(super) fn anchored(color: RGBColor, across: HPos, down: VPos) -> TextStyle<'static> {
    LABEL.into_font().color(&color).pos(Pos::new(across, down))
}

/// Draws the cells of a row that have one colour as one polygon, which runs along the row's lower
/// edge from one to the next: a shape for each cell would be three times as long.
fn draw_heat(area: &Panel<'_>, heat: &Heat, scales: &Scales) -> Result<(), Failure> {
    let x = |column: usize| heat.halves(column) as f64 / 2.0;
    for row in 0..heat.rows {
        let apart = heat.row(row);
        let (low, high) = (apart.start as f64 - 0.5, apart.end as f64 - 0.5);
        let mut shapes: [Vec<(f64, f64)>; LEVELS] = Default::default();
        for (level, run) in heat.runs(row, scales.similarity) {
            let (left, right) = (x(run.start), x(run.end));
            shapes[level].extend([(left, low), (left, high), (right, high), (right, low)]);
        }
        for (level, shape) in shapes.into_iter().enumerate() {
            if !shape.is_empty() {
                area.draw(&Polygon::new(shape, color(level).filled()))?;
            }
        }
    }
    Ok(())
}

/// Draws the gaps between `units`. Where there are more than points, the strongest of neighbours
/// stands for them.
fn draw_curve(area: &Panel<'_>, curve: &[f32], units: &Range<usize>) -> Result<(), Failure> {
    let gaps = units.start.max(1)..(units.end + 1).min(curve.len() + 1);
    let together = gaps.len().div_ceil(MAX_POINTS).max(1);
    let gaps: Vec<usize> = gaps.collect();
    let strongest = |gaps: &[usize]| {
        let gap = gaps.iter().copied().max_by(|&a, &b| curve[a - 1].total_cmp(&curve[b - 1]));
        gap.map(|gap| (gap as f64, f64::from(curve[gap - 1])))
    };
    let points: Vec<(f64, f64)> = gaps.chunks(together).filter_map(strongest).collect();
    area.draw(&PathElement::new(points, CURVE))
}
