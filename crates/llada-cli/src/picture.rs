//! The picture of a generation, with one band per step. Masks are grey; new tokens are coloured by their confidence, or blue
//! if a constraint forced them.

use std::io::Write;

use llada_core::trace::Trace;
use llada_model::Tokenizer;
use svg::{
    Document,
    node::element::{Rectangle, Style, Text},
};
use unicode_width::UnicodeWidthStr;

use crate::{
    session::piece,
    watch::{one_line, shade},
};

/// The largest number of bands. If there are more steps, evenly spaced ones are drawn.
const BANDS: usize = 12;
const CHARACTER: usize = 8;
const LINE: usize = 26;
const WIDTH: usize = 1000;
const MARGIN: usize = 80;

const STYLE: &str = "text { font: 13px ui-monospace, monospace; fill: #1f2328 } .label { fill: #656d76 } \
    .mask { fill: #d0d7de } .old { fill: #f0f3f6 } .sure { fill: #9be9a8 } .fair { fill: #ffe08a } .guessed { fill: #ffb3ab } \
    .forced { fill: #a5d6ff }";

/// The place of a token in every band.
struct Cell {
    position: usize,
    text: String,
    line: usize,
    x: usize,
    width: usize,
}

/// Draws `trace` as SVG.
pub(crate) fn draw(tokenizer: Option<&Tokenizer>, trace: &Trace, out: impl Write) -> anyhow::Result<()> {
    let cells = cells(tokenizer, trace);
    let lines = cells.last().map_or(1, |cell| cell.line + 1);
    let band = lines * LINE + LINE / 2;
    let drawn = drawn_steps(trace);
    let bands = drawn.len();
    let mut document = Document::new()
        .set("viewBox", (0, 0, WIDTH + MARGIN, bands * band))
        .set("width", WIDTH + MARGIN)
        .set("height", bands * band)
        .add(Style::new(STYLE))
        .add(Rectangle::new().set("width", "100%").set("height", "100%").set("fill", "#ffffff"));
    let committed_at = trace.committed_at();
    let mut shown = None;
    for (number, &index) in drawn.iter().enumerate() {
        let step = trace.steps[index].step;
        let top = number * band + LINE / 4;
        let label = match trace.steps[..=index].iter().map(|step| step.nfe).sum() {
            0 => "forced".to_owned(),
            forwards => format!("step {forwards}"),
        };
        document = document.add(Text::new(label).set("class", "label").set("x", 4).set("y", top + 16));
        for cell in &cells {
            let class = match committed_at[cell.position] {
                Some(at) if at > step => "mask",
                Some(at) if shown.is_none_or(|shown| at > shown) => class(trace, cell.position),
                _ => "old",
            };
            let y = top + cell.line * LINE;
            let rectangle = Rectangle::new().set("class", class).set("x", cell.x).set("y", y).set("rx", 4);
            document = document.add(rectangle.set("width", cell.width - 2).set("height", LINE - 4));
            if class != "mask" {
                // Text is centred because the writer puts line breaks around it, which some viewers show as spaces.
                let text = Text::new(cell.text.as_str()).set("text-anchor", "middle");
                document = document.add(text.set("x", cell.x + cell.width / 2 - 1).set("y", y + 16));
            }
        }
        shown = Some(step);
    }
    Ok(svg::write(out, &document)?)
}

/// Returns the indices of the steps that have a band. What was forced before the first forward has one of its own.
fn drawn_steps(trace: &Trace) -> Vec<usize> {
    let before = trace.steps.iter().take_while(|step| step.nfe == 0).count();
    let steps = trace.steps.len() - before;
    let bands = steps.min(BANDS);
    (0..before).chain((1..=bands).map(|band| before + band * steps / bands - 1)).collect()
}

/// Returns the cells of the answer, and of the prompt if it had masks. They are as wide as the final tokens.
fn cells(tokenizer: Option<&Tokenizer>, trace: &Trace) -> Vec<Cell> {
    let canvas = trace.canvas_at(usize::MAX);
    let mut commits = trace.steps.iter().flat_map(|step| &step.commits);
    let has_holes = commits.any(|commit| commit.position < trace.prompt_length);
    let first = if has_holes { 0 } else { trace.prompt_length };
    let mut cells = Vec::with_capacity(canvas.len() - first);
    let (mut line, mut x) = (0, MARGIN);
    for (position, &id) in canvas.iter().enumerate().skip(first) {
        let text = one_line(&piece(tokenizer, id));
        let width = (text.width() + 1) * CHARACTER + 2;
        if x + width > MARGIN + WIDTH {
            (line, x) = (line + 1, MARGIN);
        }
        cells.push(Cell { position, text, line, x, width });
        x += width;
    }
    cells
}

/// Returns the class of the last commit at a position. Earlier ones were revoked.
fn class(trace: &Trace, position: usize) -> &'static str {
    for step in trace.steps.iter().rev() {
        if let Some(commit) = step.commits.iter().find(|commit| commit.position == position) {
            let is_forced = step.forced.binary_search(&position).is_ok();
            return if is_forced { "forced" } else { shade(commit.confidence, ["sure", "fair", "guessed"]) };
        }
    }
    "guessed"
}
