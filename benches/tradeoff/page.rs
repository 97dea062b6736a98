//! The figures as a page that needs nothing else: pictures and table inside.

use crate::{measure::Measured, report::Report};

const STYLE: &str = "body{font:16px/1.5 Helvetica,Arial,sans-serif;max-width:1000px;margin:2em auto;padding:0 1em}\
    svg{width:100%;height:auto;margin:1em 0}table{border-collapse:collapse;width:100%;font-size:14px}\
    td,th{padding:.25em .6em;text-align:right;border-bottom:1px solid #ddd}\
    td:nth-child(-n+3),th:nth-child(-n+3){text-align:left}";

const HEADS: [&str; 10] = [
    "decoder",
    "cache",
    "remasking",
    "block",
    "steps",
    "right",
    "95 % interval",
    "forwards",
    "tokens a forward",
    "seconds",
];

/// The page; `pictures` are SVG.
pub(crate) fn html(report: &Report, pictures: [&str; 2]) -> String {
    let heads: String = HEADS.iter().map(|head| format!("<th>{head}</th>")).collect();
    let rows: String = report.cells.iter().map(row).collect();
    let heading = report.heading().replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Steps and quality</title>\n\
         <style>{STYLE}</style>\n<h1>Steps and quality</h1>\n<p>{heading}. Forwards and seconds are those of an answer.</p>\n\
         {}\n{}\n<table>\n<tr>{heads}</tr>\n{rows}</table>\n</html>\n",
        pictures[0], pictures[1]
    )
}

fn row(found: &Measured) -> String {
    let (cell, [low, high]) = (found.cell, found.mean_interval.map(|bound| 100.0 * bound));
    let fields = [
        cell.decoder.to_string(),
        cell.cache.to_string(),
        cell.remasking.to_string(),
        cell.block_length.to_string(),
        cell.steps.map_or_else(String::new, |steps| steps.to_string()),
        format!("{:.1} %", 100.0 * found.evaluation.mean_exact_match()),
        format!("{low:.1} to {high:.1} %"),
        format!("{:.1}", found.nfe_per_answer),
        format!("{:.2}", found.evaluation.tokens_per_forward()),
        format!("{:.4}", found.seconds_per_answer),
    ];
    let fields: String = fields.iter().map(|field| format!("<td>{field}</td>")).collect();
    format!("<tr>{fields}</tr>\n")
}
