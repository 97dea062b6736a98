//! The figures as pages that need nothing else: pictures and table inside.

use crate::{measure::Measured, report::Report};

const STYLE: &str = "body{font:16px/1.5 Helvetica,Arial,sans-serif;max-width:1000px;margin:2em auto;padding:0 1em}\
    svg{width:100%;height:auto;margin:1em 0}table{border-collapse:collapse;width:100%;font-size:14px}\
    td,th{padding:.25em .6em;text-align:right;border-bottom:1px solid #ddd}\
    td:nth-child(-n+3),th:nth-child(-n+3){text-align:left}";

/// A page: pictures over a table, whose first three columns are names.
pub(crate) struct Page<'a> {
    pub(crate) title: &'a str,
    /// What is seen, in sentences without the last full stop.
    pub(crate) about: String,
    /// As SVG.
    pub(crate) pictures: &'a [&'a str],
    pub(crate) heads: &'a [&'a str],
    pub(crate) rows: Vec<Vec<String>>,
}

impl Page<'_> {
    /// The page as HTML.
    pub(crate) fn html(&self) -> String {
        let cells = |tag: &str, texts: &[String]| -> String {
            let cells: String = texts.iter().map(|text| format!("<{tag}>{text}</{tag}>")).collect();
            format!("<tr>{cells}</tr>\n")
        };
        let heads: Vec<String> = self.heads.iter().map(|&head| head.to_owned()).collect();
        let rows: String = self.rows.iter().map(|row| cells("td", row)).collect();
        let about = self.about.replace('&', "&amp;").replace('<', "&lt;");
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
             <style>{STYLE}</style>\n<h1>{title}</h1>\n<p>{about}.</p>\n{pictures}\n<table>\n{heads}{rows}</table>\n</html>\n",
            title = self.title,
            pictures = self.pictures.join("\n"),
            heads = cells("th", &heads),
        )
    }
}

/// The page of the settings.
pub(crate) fn of_settings(report: &Report, pictures: [&str; 2]) -> String {
    Page {
        title: "Steps and quality",
        about: report.heading() + ". Forwards and seconds are those of an answer",
        pictures: &pictures,
        heads: &[
            "decoder",
            "cache",
            "beside it",
            "remasking",
            "block",
            "steps",
            "right",
            "95 % interval",
            "forwards",
            "tokens a forward",
            "seconds",
        ],
        rows: report.cells.iter().map(row).collect(),
    }
    .html()
}

fn row(found: &Measured) -> Vec<String> {
    let (cell, found) = (found.cell, &found.outcome);
    let [low, high] = found.mean_interval.map(|bound| 100.0 * bound);
    vec![
        cell.decoder.to_string(),
        cell.cache.to_string(),
        cell.extra.map_or_else(String::new, |extra| extra.to_string()),
        cell.remasking.to_string(),
        cell.block_length.to_string(),
        cell.steps.map_or_else(String::new, |steps| steps.to_string()),
        format!("{:.1} %", found.percent()),
        format!("{low:.1} to {high:.1} %"),
        format!("{:.1}", found.nfe_per_answer),
        format!("{:.2}", found.evaluation.tokens_per_forward()),
        format!("{:.4}", found.seconds_per_answer),
    ]
}
