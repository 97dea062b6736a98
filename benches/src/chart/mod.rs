//! Charts as SVG: series of points over two axes, with confidence intervals, a legend, and numbered points that the
//! legend names.

mod axis;
mod mark;

use svg::{
    Document,
    node::element::{Group, Line, Polyline, Rectangle, Text},
};

use self::{axis::written, mark::mark};
pub use self::{
    axis::{Axis, Scale},
    mark::Marker,
};

/// Colours that people who see few of them tell apart too ([Okabe and Ito](https://jfly.uni-koeln.de/color/)), and two
/// more.
pub const COLOURS: [&str; 9] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c6d31", "#7b4fa3"];

/// For what is no series of its own.
pub const GREY: &str = "#777777";

/// A point, and its confidence interval if it has one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Along the horizontal axis.
    pub x: f64,
    /// Along the vertical axis.
    pub y: f64,
    /// An interval of `y`.
    pub interval: Option<[f64; 2]>,
}

/// How the points of a series are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stroke {
    /// Not at all.
    None,
    /// By a line.
    Solid,
    /// By a dashed line.
    Dashed,
}

/// Points of one kind. Without points it is a key of the legend; without a name it is not in the legend.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// In the legend.
    pub name: String,
    /// Of line and marks.
    pub colour: &'static str,
    /// What stands at each point.
    pub marker: Marker,
    /// What joins them.
    pub stroke: Stroke,
    /// In the order in which they are joined.
    pub points: Vec<Point>,
}

/// A point with a number, which the legend explains.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// Along the horizontal axis.
    pub x: f64,
    /// Along the vertical axis.
    pub y: f64,
    /// What the legend says.
    pub text: String,
}

/// A picture of some series.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What is seen.
    pub title: String,
    /// What it was measured on.
    pub subtitle: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// Later ones are drawn over earlier ones.
    pub series: Vec<Series>,
    /// Numbered from 1.
    pub notes: Vec<Note>,
}

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 600.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 715.0;
const TOP: f64 = 78.0;
const BOTTOM: f64 = 535.0;
/// From one line of the legend to the next.
const LINE: f64 = 18.5;
/// From one series to the next at the same place, so that their intervals stay apart.
const ASIDE: f64 = 5.0;

impl Chart {
    /// The picture as SVG.
    pub fn svg(&self) -> String {
        let mut picture = Document::new()
            .set("viewBox", (0, 0, WIDTH, HEIGHT))
            .set("font-family", "Helvetica, Arial, sans-serif")
            .add(Rectangle::new().set("width", WIDTH).set("height", HEIGHT).set("fill", "white"))
            .add(text(&self.title, [LEFT, 32.0], "start", 19).set("font-weight", "bold"))
            .add(text(&self.subtitle, [LEFT, 55.0], "start", 13).set("fill", "#555555"))
            .add(self.axes());
        let with_interval = |series: &&Series| series.points.iter().any(|point| point.interval.is_some());
        let beside = self.series.iter().filter(with_interval).count();
        let mut aside = -ASIDE * (beside as f64 - 1.0) / 2.0;
        for series in &self.series {
            let dodges = with_interval(&series);
            picture = picture.add(self.drawn(series, if dodges { aside } else { 0.0 }));
            aside += if dodges { ASIDE } else { 0.0 };
        }
        for (number, note) in (1..).zip(&self.notes) {
            let [x, y] = self.at(note.x, note.y);
            picture = picture.add(text(&number.to_string(), [x, y - 10.0], "middle", 12).set("font-weight", "bold"));
        }
        picture.add(self.legend()).to_string()
    }

    fn at(&self, x: f64, y: f64) -> [f64; 2] {
        [LEFT + self.x.part(x) * (RIGHT - LEFT), BOTTOM - self.y.part(y) * (BOTTOM - TOP)]
    }

    fn axes(&self) -> Group {
        let mut axes = Group::new();
        for tick in self.x.ticks() {
            let x = LEFT + self.x.part(tick) * (RIGHT - LEFT);
            axes = axes.add(line([x, TOP], [x, BOTTOM], "#e4e4e4")).add(text(
                &written(tick),
                [x, BOTTOM + 19.0],
                "middle",
                13,
            ));
        }
        for tick in self.y.ticks() {
            let y = BOTTOM - self.y.part(tick) * (BOTTOM - TOP);
            axes = axes.add(line([LEFT, y], [RIGHT, y], "#e4e4e4")).add(text(
                &written(tick),
                [LEFT - 8.0, y + 4.5],
                "end",
                13,
            ));
        }
        let (middle, centre) = ((LEFT + RIGHT) / 2.0, (TOP + BOTTOM) / 2.0);
        axes.add(line([LEFT, BOTTOM], [RIGHT, BOTTOM], "#444444"))
            .add(line([LEFT, TOP], [LEFT, BOTTOM], "#444444"))
            .add(text(&self.x.label, [middle, BOTTOM + 46.0], "middle", 14))
            .add(
                text(&self.y.label, [0.0, 0.0], "middle", 14)
                    .set("transform", format!("translate(22 {centre}) rotate(-90)")),
            )
    }

    /// A series, moved `aside` by as many units of the picture.
    fn drawn(&self, series: &Series, aside: f64) -> Group {
        let places: Vec<[f64; 2]> = series.points.iter().map(|point| self.at(point.x, point.y)).collect();
        let places: Vec<[f64; 2]> = places.into_iter().map(|[x, y]| [x + aside, y]).collect();
        let mut drawn = Group::new();
        for (point, [x, _]) in series.points.iter().zip(&places) {
            if let Some(interval) = point.interval {
                let [low, high] = interval.map(|y| self.at(point.x, y)[1]);
                drawn = drawn.add(line([*x, low], [*x, high], series.colour).set("stroke-opacity", 0.45));
            }
        }
        if series.stroke != Stroke::None {
            let joined: Vec<String> = places.iter().map(|[x, y]| format!("{x:.1},{y:.1}")).collect();
            drawn = drawn.add(dashed(
                Polyline::new()
                    .set("points", joined.join(" "))
                    .set("fill", "none")
                    .set("stroke", series.colour)
                    .set("stroke-width", 2),
                series.stroke,
            ));
        }
        places.into_iter().fold(drawn, |drawn, place| drawn.add(mark(series.marker, place, series.colour)))
    }

    fn legend(&self) -> Group {
        let (start, mut y) = (RIGHT + 22.0, TOP + 8.0);
        let mut legend = Group::new();
        for series in self.series.iter().filter(|series| !series.name.is_empty()) {
            if series.stroke != Stroke::None {
                let sample = line([start, y], [start + 28.0, y], series.colour).set("stroke-width", 2);
                legend = legend.add(dashed(sample, series.stroke));
            }
            legend = legend.add(mark(series.marker, [start + 14.0, y], series.colour)).add(text(
                &series.name,
                [start + 38.0, y + 4.5],
                "start",
                13,
            ));
            y += LINE;
        }
        y += LINE / 2.0;
        for (number, note) in (1..).zip(&self.notes) {
            legend = legend
                .add(text(&number.to_string(), [start + 26.0, y + 4.5], "end", 12).set("font-weight", "bold"))
                .add(text(&note.text, [start + 38.0, y + 4.5], "start", 13));
            y += LINE;
        }
        legend
    }
}

fn text(words: &str, [x, y]: [f64; 2], anchor: &str, size: u32) -> Text {
    Text::new(words).set("x", x).set("y", y).set("text-anchor", anchor).set("font-size", size)
}

fn line([x1, y1]: [f64; 2], [x2, y2]: [f64; 2], colour: &str) -> Line {
    Line::new().set("x1", x1).set("y1", y1).set("x2", x2).set("y2", y2).set("stroke", colour)
}

fn dashed<N: svg::Node>(mut node: N, stroke: Stroke) -> N {
    if stroke == Stroke::Dashed {
        node.assign("stroke-dasharray", "6 4");
    }
    node
}
