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

    /// Each with its label above its beginning; where two are close, the second one's goes below its line.
    fn limits(&self, out: &mut String) {
        let mut taken: Vec<f64> = Vec::new();
        for mark in &self.marks {
            let (y, colour) = (self.y_of(mark.y), mark.colour);
            let end = mark.ends_at.map_or(WIDTH - RIGHT, |place| self.x_of(place));
            let dashed = r#"stroke-width="1.5" stroke-dasharray="6 4""#;
            let _ = writeln!(out, r#"<path d="M{LEFT} {y:.1}H{end:.1}" stroke="{colour}" {dashed}/>"#);
            if mark.ends_at.is_some() {
                let _ = writeln!(
                    out,
                    r##"<circle cx="{end:.1}" cy="{y:.1}" r="4" fill="#ffffff" stroke="{colour}" stroke-width="2"/>"##
                );
            }
            let is_taken = |at: f64| taken.iter().any(|other| (other - at).abs() < 14.0);
            let text_y = [y - 5.0, y + 15.0, y - 20.0].into_iter().find(|at| !is_taken(*at)).unwrap_or(y - 5.0);
            taken.push(text_y);
            let (x, label) = (LEFT + 8.0, escaped(&mark.label));
            let halo = r##"paint-order="stroke" stroke="#ffffff" stroke-width="4""##;
            let _ = writeln!(out, r#"<text x="{x}" y="{text_y:.1}" fill="{colour}" {halo}>{label}</text>"#);
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
