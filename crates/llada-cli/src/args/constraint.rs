//! The flags of constraints.

use std::{collections::BTreeMap, path::PathBuf};

use clap::{ArgGroup, Args, ValueEnum};
use llada::{Json, JsonOptions, Pattern, Whitespace};

use crate::{exit::usage, file::read_text, patterns::PatternKeys};

/// What an answer may be.
#[derive(Args)]
#[command(next_help_heading = "Constraint")]
#[command(group = ArgGroup::new("pattern").args(["regex", "choice", "json_schema", "json_object"]))]
#[command(group = ArgGroup::new("json_pattern").args(["json_schema", "json_object"]))]
#[group(skip)]
pub(crate) struct ConstraintArgs {
    /// The answer as a whole matches this regular expression, whatever the other options. What it leaves no choice in takes
    /// no forward
    #[arg(long, value_name = "REGEX")]
    regex: Option<String>,

    /// The answer is this text, or another one that is given in the same way
    #[arg(long, value_name = "TEXT")]
    choice: Vec<String>,

    /// The answer is JSON that this schema allows
    #[arg(long, value_name = "FILE")]
    json_schema: Option<PathBuf>,

    /// The answer is a JSON object
    #[arg(long)]
    json_object: bool,

    /// Spaces in the JSON: one after commas and colons (canonical), none (compact), or any
    #[arg(long, value_name = "NAME", value_enum, default_value_t = Spaces::Canonical, requires = "json_pattern")]
    json_whitespace: Spaces,

    /// How deeply JSON may be nested where the schema does not say, and where it refers to itself
    #[arg(long, value_name = "N", default_value_t = JsonOptions::default().max_depth, requires = "json_pattern")]
    json_max_depth: usize,
}

/// What the runs of masks in a prompt may be.
#[derive(Args)]
#[command(next_help_heading = "Constraint")]
#[group(skip)]
pub(crate) struct HoleArgs {
    /// The run of masks in the prompt matches this regular expression: the first one for the first run, and so on; an empty
    /// one leaves its run free
    #[arg(long, value_name = "REGEX")]
    hole_regex: Vec<String>,
}

/// The names of [`Whitespace`].
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Spaces {
    Canonical,
    Compact,
    Any,
}

impl ConstraintArgs {
    /// Returns the pattern of the answer, with the schema read from its file.
    pub(crate) fn pattern(self) -> anyhow::Result<Option<Pattern>> {
        let has_json = self.json_object || self.json_schema.is_some();
        let json_schema = self.json_schema.map(|path| {
            let text = read_text(&path)?;
            text.parse::<Json>().map_err(|error| usage(format!("{}: {error}", path.display())))
        });
        let keys = PatternKeys {
            regex: self.regex,
            choice: Some(self.choice).filter(|choice| !choice.is_empty()),
            json_schema: json_schema.transpose()?,
            json_object: Some(self.json_object),
            json_whitespace: has_json.then_some(match self.json_whitespace {
                Spaces::Canonical => Whitespace::Canonical,
                Spaces::Compact => Whitespace::Compact,
                Spaces::Any => Whitespace::Any,
            }),
            json_max_depth: has_json.then_some(self.json_max_depth),
            others: BTreeMap::new(),
        };
        keys.pattern().map_err(usage)
    }
}

impl HoleArgs {
    /// Returns the patterns of the runs.
    pub(crate) fn patterns(self) -> Vec<Option<Pattern>> {
        self.hole_regex.into_iter().map(|regex| (!regex.is_empty()).then_some(Pattern::Regex(regex))).collect()
    }
}
