//! Checks as the clients' programs report them, and the table of them.

use std::fmt::Write;

use serde::Deserialize;

use crate::style;

/// The outcome of a check.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    Ok,
    Failed,
    Skipped,
}

/// A check of a client: a line of JSON that its program prints.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub(super) struct Check {
    check: String,
    outcome: Outcome,
    seconds: f64,
    /// What is wrong, or why the check was skipped.
    detail: Option<String>,
}

/// A client with its checks.
pub(super) struct Row {
    pub(super) client: &'static str,
    pub(super) checks: Vec<Check>,
}

impl Check {
    /// Reads a line of a client's program. Lines without a check return `None`.
    pub(super) fn read(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }

    /// Creates a check that failed because the client's program did.
    pub(super) fn failed(check: &str, detail: String) -> Self {
        Self { check: check.to_owned(), outcome: Outcome::Failed, seconds: 0.0, detail: Some(detail) }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.outcome == Outcome::Failed
    }

    /// Returns the line that is shown of it, and its details below if it failed.
    pub(super) fn shown(&self) -> String {
        let Self { check, seconds, .. } = self;
        let detail = self.detail.as_deref().unwrap_or_default();
        match self.outcome {
            Outcome::Ok => format!("  {}      {seconds:6.2} s  {check}", style::good("ok")),
            Outcome::Skipped => format!("  {} {seconds:6.2} s  {check}: {detail}", style::doubtful("skipped")),
            Outcome::Failed => {
                let detail = detail.trim().replace('\n', "\n      ");
                format!("  {}  {seconds:6.2} s  {check}\n      {detail}", style::bad("failed"))
            }
        }
    }
}

impl Row {
    pub(super) fn has_failed(&self) -> bool {
        self.checks.iter().any(Check::has_failed)
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.checks.iter().filter(|check| check.outcome == outcome).count()
    }

    fn seconds(&self) -> f64 {
        self.checks.iter().map(|check| check.seconds).sum()
    }
}

/// Returns a line for each client with the numbers of its checks, and what was skipped below.
pub(super) fn table(rows: &[Row]) -> String {
    let mut table = format!("{:<16} {:>4} {:>7} {:>8} {:>8}\n", "client", "ok", "failed", "skipped", "seconds");
    for row in rows {
        let [ok, failed, skipped] = [Outcome::Ok, Outcome::Failed, Outcome::Skipped].map(|outcome| row.count(outcome));
        // Writing to a string does not fail.
        let _ = writeln!(table, "{:<16} {ok:>4} {failed:>7} {skipped:>8} {:>8.1}", row.client, row.seconds());
    }
    for row in rows {
        for check in row.checks.iter().filter(|check| check.outcome == Outcome::Skipped) {
            let reason = check.detail.as_deref().unwrap_or("no reason given");
            let _ = writeln!(table, "skipped: {}: {}: {reason}", row.client, check.check);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_of_checks_are_read() {
        let check =
            Check::read(r#"{"check": "a question is answered", "outcome": "ok", "seconds": 0.5, "detail": null}"#);
        assert_eq!(check.unwrap().shown(), "  ok        0.50 s  a question is answered");
        for other in ["", "collected 3 items", "{\"check\": 1}", "[]"] {
            assert_eq!(Check::read(other), None, "{other}");
        }
    }

    #[test]
    fn a_skipped_check_is_neither_ok_nor_failed() {
        let line =
            r#"{"check": "a tool is called", "outcome": "skipped", "seconds": 0, "detail": "not served: tools"}"#;
        let skipped = Check::read(line).unwrap();
        let failed = Check::failed("it ends", "timeout".to_owned());
        let rows = [
            Row { client: "llm", checks: vec![skipped.clone()] },
            Row { client: "ai-sdk", checks: vec![skipped, failed] },
        ];
        assert_eq!(rows.each_ref().map(Row::has_failed), [false, true]);
        let expected = "\
client             ok  failed  skipped  seconds
llm                 0       0        1      0.0
ai-sdk              0       1        1      0.0
skipped: llm: a tool is called: not served: tools
skipped: ai-sdk: a tool is called: not served: tools
";
        assert_eq!(table(&rows), expected);
    }
}
