//! `cargo xtask doctor`: checks this machine and prints, for each problem, a command that helps.

mod cuda;
mod machine;
mod tools;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::failure::Failure;
use crate::style;

/// The result of a check. Only `Fail` prevents the workspace from being built or tested.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Warn,
    Fail,
}

/// A check, which is a line of the table.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    status: Status,
    found: String,
    /// A command that helps, if something is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, status: Status::Ok, found: found.into(), hint: None }
    }

    fn warn(name: &'static str, found: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { status: Status::Warn, hint: Some(hint.into()), ..Self::ok(name, found) }
    }

    fn fail(name: &'static str, found: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { status: Status::Fail, ..Self::warn(name, found, hint) }
    }
}

#[derive(Serialize)]
struct Report {
    ready: bool,
    checks: Vec<Check>,
}

pub(crate) fn run(json: bool) -> Result<()> {
    let checks = vec![
        tools::rust(),
        tools::cxx(),
        tools::python(),
        tools::git(),
        tools::libtorch(),
        cuda::cuda(),
        machine::cpu(),
        machine::int8(),
        machine::memory(),
        machine::disk(),
    ];
    let failed: Vec<_> = checks.iter().filter(|check| check.status == Status::Fail).map(|check| check.name).collect();
    let failure = (!failed.is_empty()).then(|| {
        Failure::environment(
            format!("not ready: {}", failed.join(", ")),
            "the commands above, then: cargo xtask doctor",
        )
    });
    let report = Report { ready: failure.is_none(), checks };
    if json {
        println!("{}", serde_json::to_string_pretty(&report).context("the report has no JSON form")?);
    } else {
        print_table(&report);
    }
    failure.map_or(Ok(()), |failure| Err(failure.into()))
}

fn print_table(report: &Report) {
    for check in &report.checks {
        // Padded before it is coloured, because colour codes count as characters.
        let status = match check.status {
            Status::Ok => style::good("ok  "),
            Status::Warn => style::doubtful("warn"),
            Status::Fail => style::bad("fail"),
        };
        println!("{:<9} {status}  {}", check.name, check.found);
        if let Some(hint) = &check.hint {
            println!("{:<9}       {} {hint}", "", style::strong("hint:"));
        }
    }
}
