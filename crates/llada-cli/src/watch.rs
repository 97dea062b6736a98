//! The display of a generation step by step (`--watch`).
//!
//! On a terminal each step is drawn over the one before, including the prompt and control tokens. Otherwise each step
//! is a line with the text of the answer, or of prompt and answer if the prompt has masks, without control tokens. Steps are
//! counted by their forwards, and what a constraint forced before the first is not one.

use std::{
    io::{self, IsTerminal, Write, stderr},
    thread::sleep,
    time::{Duration, Instant},
};

use crossterm::{
    cursor::MoveToPreviousLine,
    execute, queue,
    style::{Color, Print, ResetColor, SetForegroundColor},
    terminal::{Clear, ClearType, size},
};
use llada_infer::{Progress, Request};
use llada_model::Tokenizer;
use unicode_width::UnicodeWidthStr;

use crate::session::{piece, text};

/// The text that stands for a mask.
pub(crate) const MASK: &str = "░";
/// The shortest time for which a step is visible.
const FRAME: Duration = Duration::from_millis(60);

/// Draws the steps of one request.
pub(crate) struct Watch<'a> {
    tokenizer: Option<&'a Tokenizer>,
    mask_id: u32,
    prompt_length: usize,
    /// The first position of a frame.
    drawn_from: usize,
    /// The first position of a line in the log.
    logged_from: usize,
    /// The number of forwards.
    forwards: usize,
    /// The number of lines of the last frame, which the next one overwrites.
    lines: u16,
    drawn: Option<Instant>,
    /// The time that was spent on the display.
    pub(crate) paused: Duration,
}

/// Returns the colour for a confidence: the first for high, the second for medium, the third for low confidence.
pub(crate) fn shade<T>(confidence: f32, [sure, fair, guessed]: [T; 3]) -> T {
    match confidence {
        c if c >= 0.7 => sure,
        c if c >= 0.3 => fair,
        _ => guessed,
    }
}

/// Returns a text on one line, with signs for line breaks and dots for other control characters.
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
        Self {
            tokenizer,
            mask_id,
            prompt_length,
            drawn_from: 0,
            logged_from,
            forwards: 0,
            lines: 0,
            drawn: None,
            paused: Duration::ZERO,
        }
    }

    /// The same, without the prompt.
    pub(crate) fn of_answer(self) -> Self {
        Self { drawn_from: self.prompt_length, logged_from: self.prompt_length, ..self }
    }

    /// Removes the last frame from the terminal.
    pub(crate) fn clear(self) {
        if self.lines > 0 {
            let mut out = stderr().lock();
            // What is left of the display if the terminal cannot be written to does no harm.
            let _ = execute!(out, MoveToPreviousLine(self.lines), Clear(ClearType::FromCursorDown));
        }
    }

    /// Shows the sequence after a step. Sampling goes on if the terminal cannot be written to.
    pub(crate) fn show(&mut self, progress: Progress<'_>) {
        let start = Instant::now();
        self.forwards += progress.step.nfe;
        let _ = if stderr().is_terminal() { self.draw(progress) } else { self.log(progress) };
        self.paused += start.elapsed();
    }

    fn text(&self, id: u32) -> String {
        if id == self.mask_id { MASK.to_owned() } else { one_line(&piece(self.tokenizer, id)) }
    }

    fn head(&self, progress: Progress<'_>) -> String {
        let masks = progress.canvas.iter().filter(|&&id| id == self.mask_id).count();
        let step = match self.forwards {
            0 => format!("{:<9}", "forced"),
            forwards => format!("step {forwards:>4}"),
        };
        format!("{step}  block {:>3}  masks {masks:>5}", progress.step.block + 1)
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
        for (position, &id) in progress.canvas.iter().enumerate().skip(self.drawn_from) {
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
                Some(_) if progress.step.forced.binary_search(&position).is_ok() => Color::Cyan,
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
