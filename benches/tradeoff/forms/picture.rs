//! The figures of forms as a picture: accuracy by steps at the high temperature, free and constrained.

use llada_benches::chart::{Axis, COLOURS, Chart, Marker, Point, Scale, Series, Stroke};

use super::{FormCell, FormReport, HOT, STEPS};

/// A line a task, dashed where answers are free.
pub(crate) fn steps(report: &FormReport) -> Chart {
    let mut tasks: Vec<&str> = report.cells.iter().map(|cell| cell.task).collect();
    tasks.dedup();
    let mut series = Vec::new();
    for (task, colour) in tasks.into_iter().zip(COLOURS) {
        for (is_constrained, name, stroke, marker) in
            [(true, "constrained", Stroke::Solid, Marker::Disc), (false, "free", Stroke::Dashed, Marker::HollowSquare)]
        {
            let of_series =
                |cell: &&FormCell| (cell.task, cell.is_constrained, cell.temperature) == (task, is_constrained, HOT);
            let point = |cell: &FormCell| {
                let (share, interval) = cell.accuracy();
                let interval = Some(interval.map(|bound| 100.0 * bound));
                Point { x: cell.steps as f64, y: 100.0 * share, interval }
            };
            let points = report.cells.iter().filter(of_series).map(point).collect();
            series.push(Series { name: format!("{task}, {name}"), colour, marker, stroke, points });
        }
    }
    Chart {
        title: format!("Accuracy by denoising steps at temperature {HOT}, with and without the form"),
        subtitle: report.heading() + "; 95 % intervals",
        x: Axis::around("denoising steps of an answer", Scale::Log2, STEPS.map(|steps| steps as f64)),
        y: Axis::around("right answers (%)", Scale::Linear, [0.0, 100.0]),
        series,
        notes: vec![],
    }
}
