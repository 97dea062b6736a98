//! `--watch`: the denoising in the terminal, step by step, masks turning into tokens.
//!
//! On a terminal each step is drawn over the last, prompt and control tokens included. Elsewhere each is a line of a log,
//! of what becomes text: the answer, or the whole text if the prompt has holes, without control tokens.

use std::{
    io::{self, IsTerminal, Write, stderr},
    thread::sleep,
    time::{Duration, Instant},
};

use crossterm::{
    cursor::MoveToPreviousLine,
    queue,
    style::{Color, Print, ResetColor, SetForegroundColor},
    terminal::{Clear, ClearType, size},
};
use llada_infer::{Progress, Request};
use llada_model::Tokenizer;
use unicode_width::UnicodeWidthStr;

use crate::session::{piece, text};

/// How a mask is shown.
pub(crate) const MASK: &str = "░";
/// A step stays this long, or nobody would see it.
const FRAME: Duration = Duration::from_millis(60);

/// Draws the steps of one request.
pub(crate) struct Watch<'a> {
    tokenizer: Option<&'a Tokenizer>,
    mask_id: u32,
    prompt_length: usize,
    /// Where a line of a log begins.
    logged_from: usize,
    /// Lines of the last frame, to be drawn over.
    lines: u16,
    drawn: Option<Instant>,
    /// Time spent on showing, not on sampling.
    pub(crate) paused: Duration,
}

/// The colour of a token that was committed with this confidence: sure, less sure, guessed.
pub(crate) fn shade<T>(confidence: f32, [sure, fair, guessed]: [T; 3]) -> T {
    match confidence {
        c if c >= 0.7 => sure,
        c if c >= 0.3 => fair,
        _ => guessed,
    }
}

/// A token's text on one line: line ends as signs, other control characters as dots.
pub(crate) fn one_line(text: &str) -> String {
    let sign = |c: char| match c {
        '\n' => '⏎',
        c if c.is_control() => '·',
        c => c,
    };
    text.chars().map(sign).collect()
}

impl<'a> Watch<'a> {
    pub(crate) fn new(tokenizer: Option<&'a Tokenizer>, mask_id: u32, request: &Request) -> Self {
        let prompt_length = request.prompt.len();
        let logged_from = if request.prompt.contains(&mask_id) { 0 } else { prompt_length };
        Self { tokenizer, mask_id, prompt_length, logged_from, lines: 0, drawn: None, paused: Duration::ZERO }
    }

    /// Shows the sequence after a step. A terminal that cannot be written to is no reason to stop sampling.
    pub(crate) fn show(&mut self, progress: Progress<'_>) {
        let start = Instant::now();
        let _ = if stderr().is_terminal() { self.draw(progress) } else { self.log(progress) };
        self.paused += start.elapsed();
    }

    fn text(&self, id: u32) -> String {
        if id == self.mask_id { MASK.to_owned() } else { one_line(&piece(self.tokenizer, id)) }
    }

    fn head(&self, progress: Progress<'_>) -> String {
        let masks = progress.canvas.iter().filter(|&&id| id == self.mask_id).count();
        format!("step {:>4}  block {:>3}  masks {masks:>5}", progress.step.step + 1, progress.step.block + 1)
    }

    fn log(&self, progress: Progress<'_>) -> io::Result<()> {
        let between_masks = progress.canvas[self.logged_from..].split(|&id| id == self.mask_id);
        let texts: Vec<String> = between_masks.map(|ids| one_line(&text(self.tokenizer, ids))).collect();
        writeln!(stderr(), "{}  {}", self.head(progress), texts.join(MASK))
    }

    fn draw(&mut self, progress: Progress<'_>) -> io::Result<()> {
        if let Some(drawn) = self.drawn {
            sleep(FRAME.saturating_sub(drawn.elapsed()));
        }
        self.drawn = Some(Instant::now());
        let (width, height) = size()?;
        let mut out = stderr().lock();
        if self.lines > 0 {
            queue!(out, MoveToPreviousLine(self.lines))?;
        }
        queue!(out, Clear(ClearType::FromCursorDown), Print(self.head(progress)), Print("\n"))?;
        let (mut column, mut line) = (0, 1);
        for (position, &id) in progress.canvas.iter().enumerate() {
            let text = self.text(id);
            if column + text.width() > usize::from(width) {
                (column, line) = (0, line + 1);
                if line >= height.saturating_sub(1) {
                    break;
                }
                queue!(out, Print("\n"))?;
            }
            column += text.width();
            let fresh = progress.step.commits.iter().find(|commit| commit.position == position);
            let color = match fresh {
                Some(commit) => shade(commit.confidence, [Color::Green, Color::Yellow, Color::Red]),
                None if id == self.mask_id || position < self.prompt_length => Color::DarkGrey,
                None => Color::Reset,
            };
            queue!(out, SetForegroundColor(color), Print(text), ResetColor)?;
        }
        queue!(out, Print("\n"))?;
        self.lines = line + 1;
        out.flush()
    }
}
