//! A chart with two axes, lines, and horizontal marks, as SVG.

use std::fmt::Write as _;

const WIDTH: f64 = 880.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 74.0;
const BOTTOM: f64 = 56.0;

pub(super) struct Axis {
    pub label: String,
    pub from: f64,
    pub to: f64,
    pub ticks: Vec<(f64, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Line,
    LineAndDots,
    Crosses,
}

pub(super) struct Series {
    pub name: String,
    pub colour: &'static str,
    pub points: Vec<(f64, f64)>,
    pub shape: Shape,
}

/// A limit: a dashed line from the left to where it ends.
pub(super) struct Mark {
    pub label: String,
    pub colour: &'static str,
    pub y: f64,
    /// `None`: at the right edge.
    pub ends_at: Option<f64>,
}

pub(super) struct Chart {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
    pub marks: Vec<Mark>,
}

impl Chart {
    pub(super) fn svg(&self) -> String {
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
             height=\"{HEIGHT}\" font-family=\"system-ui, 'DejaVu Sans', sans-serif\" font-size=\"13\" \
             fill=\"#24292f\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
             <text x=\"{LEFT}\" y=\"26\" font-size=\"16\" font-weight=\"600\">{}</text>\n",
            escaped(&self.title)
        );
        self.grid(&mut out);
        self.legend(&mut out);
        for series in &self.series {
            self.line(&mut out, series);
        }
        self.limits(&mut out);
        out.push_str("</svg>\n");
        out
    }

    fn grid(&self, out: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for (place, name) in &self.y.ticks {
            let y = self.y_of(*place);
            let _ = writeln!(out, r##"<path d="M{LEFT} {y:.1}H{right}" stroke="#d8dee4"/>"##);
            let (x, y) = (LEFT - 8.0, y + 4.5);
            let _ = writeln!(out, r#"<text x="{x}" y="{y:.1}" text-anchor="end">{}</text>"#, escaped(name));
        }
        for (place, name) in &self.x.ticks {
            let x = self.x_of(*place);
            let _ = writeln!(out, r##"<path d="M{x:.1} {TOP}V{bottom}" stroke="#eaeef2"/>"##);
            let y = bottom + 19.0;
            let _ = writeln!(out, r#"<text x="{x:.1}" y="{y}" text-anchor="middle">{}</text>"#, escaped(name));
        }
        let _ = writeln!(out, r##"<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="#57606a"/>"##);
        let (x, y) = ((LEFT + right) / 2.0, HEIGHT - 12.0);
        let _ = writeln!(out, r#"<text x="{x}" y="{y}" text-anchor="middle">{}</text>"#, escaped(&self.x.label));
        let y = (TOP + bottom) / 2.0;
        let label = escaped(&self.y.label);
        let _ = writeln!(out, r#"<text transform="translate(18 {y}) rotate(-90)" text-anchor="middle">{label}</text>"#);
    }

    fn legend(&self, out: &mut String) {
        let mut x = LEFT;
        for series in self.series.iter().filter(|series| !series.points.is_empty()) {
            let (end, text_x, colour) = (x + 22.0, x + 28.0, series.colour);
            let _ = writeln!(out, r#"<path d="M{x:.0} 47H{end:.0}" stroke="{colour}" stroke-width="3"/>"#);
            let _ = writeln!(out, r#"<text x="{text_x:.0}" y="51.5">{}</text>"#, escaped(&series.name));
            x = text_x + 8.0 * series.name.chars().count() as f64 + 20.0;
        }
    }

    fn line(&self, out: &mut String, series: &Series) {
        let colour = series.colour;
        let points: Vec<(f64, f64)> = series.points.iter().map(|(x, y)| (self.x_of(*x), self.y_of(*y))).collect();
        if series.shape != Shape::Crosses && points.len() > 1 {
            let mut path = String::new();
            for (index, (x, y)) in points.iter().enumerate() {
                let _ = write!(path, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' });
            }
            let _ = writeln!(out, r#"<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"/>"#);
        }
        for (x, y) in &points {
            let _ = match series.shape {
                Shape::Line => Ok(()),
                Shape::LineAndDots => writeln!(out, r#"<circle cx="{x:.1}" cy="{y:.1}" r="2.6" fill="{colour}"/>"#),
                Shape::Crosses => writeln!(
                    out,
                    r#"<path d="M{:.1} {:.1}l12 12m0 -12l-12 12" stroke="{colour}" stroke-width="2"/>"#,
                    x - 6.0,
                    y - 6.0
                ),
            };
        }
    }

    /// Each with its label where it ends: behind the dot, or above the line at the right edge.
    fn limits(&self, out: &mut String) {
        let mut taken: Vec<(f64, f64)> = Vec::new();
        for mark in &self.marks {
            let (y, colour) = (self.y_of(mark.y), mark.colour);
            let end = mark.ends_at.map_or(WIDTH - RIGHT, |place| self.x_of(place));
            let dashed = r#"stroke-width="1.5" stroke-dasharray="6 4""#;
            let _ = writeln!(out, r#"<path d="M{LEFT} {y:.1}H{end:.1}" stroke="{colour}" {dashed}/>"#);
            let label_width = 8.0 * mark.label.chars().count() as f64;
            let is_behind = mark.ends_at.is_some() && end + label_width < WIDTH - RIGHT;
            if mark.ends_at.is_some() {
                let dot = format!(r#"cx="{end:.1}" cy="{y:.1}" r="4""#);
                let _ = writeln!(out, r##"<circle {dot} fill="#ffffff" stroke="{colour}" stroke-width="2"/>"##);
            }
            let (x, anchor) = if is_behind { (end + 9.0, "start") } else { (end - 6.0, "end") };
            let first_y = if is_behind { y + 4.5 } else { y - 6.0 };
            let is_taken =
                |at: f64| taken.iter().any(|other| (other.0 - x).abs() < 160.0 && (other.1 - at).abs() < 14.0);
            let text_y = [0.0, 16.0, -16.0, 32.0].map(|shift| first_y + shift).into_iter().find(|at| !is_taken(*at));
            let text_y = text_y.unwrap_or(first_y);
            taken.push((x, text_y));
            let label = escaped(&mark.label);
            let halo = r##"paint-order="stroke" stroke="#ffffff" stroke-width="4""##;
            let place = format!(r#"x="{x:.1}" y="{text_y:.1}" text-anchor="{anchor}""#);
            let _ = writeln!(out, r#"<text {place} fill="{colour}" {halo}>{label}</text>"#);
        }
    }

    fn x_of(&self, place: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * ((place - self.x.from) / (self.x.to - self.x.from)).clamp(0.0, 1.0)
    }

    fn y_of(&self, place: f64) -> f64 {
        let share = ((place - self.y.from) / (self.y.to - self.y.from)).clamp(0.0, 1.0);
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
