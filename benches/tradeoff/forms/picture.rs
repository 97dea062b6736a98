//! The figures of forms as a picture: accuracy by steps, free and constrained.

use llada_benches::chart::{Axis, COLOURS, Chart, Marker, Point, Scale, Series, Stroke};

use super::{FormReport, STEPS};

/// A line a task, dashed where answers are free.
pub(crate) fn steps(report: &FormReport) -> Chart {
    let mut tasks: Vec<&str> = report.cells.iter().map(|cell| cell.task).collect();
    tasks.dedup();
    let mut series = Vec::new();
    for (task, colour) in tasks.into_iter().zip(COLOURS) {
        for (is_constrained, name, stroke, marker) in
            [(true, "of the form", Stroke::Solid, Marker::Disc), (false, "free", Stroke::Dashed, Marker::HollowSquare)]
        {
            let cells = report.cells.iter().filter(|cell| (cell.task, cell.is_constrained) == (task, is_constrained));
            let points = cells.map(|cell| Point {
                x: cell.steps as f64,
                y: 100.0 * cell.score.accuracy,
                interval: Some(cell.score.interval.map(|bound| 100.0 * bound)),
            });
            series.push(Series { name: format!("{task}, {name}"), colour, marker, stroke, points: points.collect() });
        }
    }
    Chart {
        title: "Accuracy by denoising steps, with and without the form".to_owned(),
        subtitle: report.heading() + "; 95 % intervals",
        x: Axis::around("denoising steps of an answer", Scale::Log2, STEPS.map(|steps| steps as f64)),
        y: Axis::around("right answers (%)", Scale::Linear, [0.0, 100.0]),
        series,
        notes: vec![],
    }
}
