//! The figures as pictures: accuracy against steps, and against seconds with the settings that nothing beats.

use llada_benches::chart::{Axis, COLOURS, Chart, GREY, Marker, Note, Point, Scale, Series, Stroke};
use llada_infer::{CacheKind, DecoderKind};

use crate::{
    grid::{CACHES, Cell, DECODERS, REMASKINGS},
    measure::Measured,
    report::Report,
};

const ACCURACY: &str = "right answers (%)";

fn percent(found: &Measured) -> f64 {
    found.outcome.percent()
}

/// The schedule without a cache: a line a remasking and block length.
pub(crate) fn steps(report: &Report) -> Chart {
    let of_schedule = |found: &&Measured| {
        let Cell { decoder, cache, extra, .. } = found.cell;
        (decoder, cache, extra) == (DecoderKind::Schedule, CacheKind::None, None)
    };
    let cells = || report.cells.iter().filter(of_schedule);
    let point = |found: &Measured| {
        let interval = Some(found.outcome.mean_interval.map(|bound| 100.0 * bound));
        Point { x: found.cell.steps.unwrap_or_default() as f64, y: percent(found), interval }
    };
    let [whole, block] = report.canvas.blocks();
    let mut series = Vec::new();
    for (remasking, colour) in REMASKINGS.into_iter().zip(COLOURS) {
        for (block, stroke, marker) in
            [(whole, Stroke::Solid, Marker::Disc), (block, Stroke::Dashed, Marker::HollowSquare)]
        {
            let of_series = |found: &&Measured| (found.cell.remasking, found.cell.block_length) == (remasking, block);
            let points = cells().filter(of_series).map(point).collect();
            series.push(Series { name: format!("{remasking}, block {block}"), colour, marker, stroke, points });
        }
    }
    let bounds = cells().flat_map(|found| found.outcome.mean_interval).map(|bound| 100.0 * bound);
    Chart {
        title: "Accuracy by denoising steps".to_owned(),
        subtitle: report.heading() + "; 95 % intervals",
        x: Axis::around(
            format!("denoising steps of an answer of {whole} tokens"),
            Scale::Log2,
            points(&series).map(|point| point.x),
        ),
        y: Axis::around(ACCURACY, Scale::Linear, bounds),
        series,
        notes: vec![],
    }
}

/// Every setting, and the Pareto front: no other is both as quick and as often right.
pub(crate) fn pareto(report: &Report) -> Chart {
    let point = |found: &Measured| Point { x: found.outcome.seconds_per_answer, y: percent(found), interval: None };
    let mark_of = |cache: CacheKind| match cache {
        CacheKind::Prefix => Marker::Square,
        CacheKind::Dual => Marker::Diamond,
        CacheKind::Dllm => Marker::Triangle,
        _ => Marker::Disc,
    };
    let key = |name: &str, colour, marker| Series {
        name: name.to_owned(),
        colour,
        marker,
        stroke: Stroke::None,
        points: vec![],
    };
    let front = front(&report.cells);
    // Stairs: between two of its settings only the quicker one is within reach.
    let mut stairs: Vec<Point> = Vec::new();
    for next in front.iter().map(|found| point(found)) {
        if let Some(&last) = stairs.last() {
            stairs.push(Point { x: next.x, ..last });
        }
        stairs.push(next);
    }
    let line = Series { stroke: Stroke::Dashed, points: stairs, ..key("Pareto front", GREY, Marker::None) };
    let mut series = vec![line];
    for (decoder, colour) in DECODERS.into_iter().zip(COLOURS) {
        series.push(key(&decoder.to_string(), colour, Marker::Disc));
        for found in report.cells.iter().filter(|found| found.cell.decoder == decoder) {
            let marker = mark_of(found.cell.cache);
            let marker = match found.cell.extra {
                Some(_) => Marker::Cross,
                None if found.cell.is_whole() => marker.hollow(),
                None => marker,
            };
            series.push(Series { points: vec![point(found)], ..key("", colour, marker) });
        }
    }
    series.extend(CACHES[1..].iter().map(|&cache| key(&format!("with cache {cache}"), GREY, mark_of(cache))));
    series.push(key("window, drift, drafts, preset", GREY, Marker::Cross));
    let [whole, block] = report.canvas.blocks();
    series.push(key(&format!("block {whole}: pure diffusion"), GREY, Marker::HollowDisc));
    series.push(key(&format!("block {block}"), GREY, Marker::Disc));
    let note = |found: &&Measured| Note {
        x: found.outcome.seconds_per_answer,
        y: percent(found),
        text: found.cell.to_string(),
    };
    Chart {
        title: "Accuracy by time: all settings, and those that none beats".to_owned(),
        subtitle: report.heading(),
        x: Axis::around("seconds an answer", Scale::Log10, points(&series).map(|point| point.x)),
        y: Axis::around(ACCURACY, Scale::Linear, points(&series).map(|point| point.y)),
        notes: front.iter().map(note).collect(),
        series,
    }
}

fn points(series: &[Series]) -> impl Iterator<Item = &Point> {
    series.iter().flat_map(|series| &series.points)
}

/// The settings that no other beats, quickest first.
fn front(cells: &[Measured]) -> Vec<&Measured> {
    let mut by_time: Vec<&Measured> = cells.iter().collect();
    by_time.sort_by(|a, b| a.outcome.seconds_per_answer.total_cmp(&b.outcome.seconds_per_answer));
    let mut best = f64::NEG_INFINITY;
    by_time.retain(|found| {
        let better = percent(found) > best;
        best = best.max(percent(found));
        better
    });
    by_time
}
