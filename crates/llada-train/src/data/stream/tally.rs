//! What was read of the data, and what was left out, by reason.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// The number of places that are kept of records that cannot be read.
const PLACES: usize = 5;

/// Why a record is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reason {
    TooLong,
    WithoutAnswer,
    UnknownRoles(Vec<String>),
    /// What is wrong with it.
    Malformed(String),
}

/// What was read of the data, once through, and what was left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// The number of records that are learned from.
    pub records: u64,
    /// The number of records left out because they are too long.
    pub too_long: u64,
    /// The number of those in which the assistant says nothing.
    pub without_answer: u64,
    /// The number of those with a role that is none of system, developer, user, assistant and tool.
    pub of_unknown_roles: u64,
    /// Those roles, each with the number of records that it is in.
    pub unknown_roles: BTreeMap<String, u64>,
    /// The number of those that are no records of the file's format.
    pub malformed: u64,
    /// The first of these: where they are, and what is wrong.
    pub malformed_places: Vec<Place>,
}

/// A record that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// The number of the line or row, from 1.
    pub number: u64,
    /// What is wrong with it.
    pub message: String,
}

impl Tally {
    /// The number of records left out.
    pub fn left_out(&self) -> u64 {
        self.too_long + self.without_answer + self.of_unknown_roles + self.malformed
    }

    /// What was left out and why, in words, a sentence each.
    pub fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        let roles: Vec<String> =
            self.unknown_roles.iter().map(|(role, count)| format!("{role:?} in {count}")).collect();
        for (count, why) in [
            (self.too_long, "too long".to_owned()),
            (self.without_answer, "without an answer of the assistant".to_owned()),
            (self.of_unknown_roles, format!("of unknown roles ({})", roles.join(", "))),
            (self.malformed, "not of the format".to_owned()),
        ] {
            if count > 0 {
                reasons.push(format!("{count} {why}"));
            }
        }
        for Place { path, number, message } in &self.malformed_places {
            reasons.push(format!("{}, record {number}: {message}", path.display()));
        }
        reasons
    }

    /// The counts of two datasets together.
    pub(crate) fn add(mut self, other: Self) -> Self {
        self.records += other.records;
        self.too_long += other.too_long;
        self.without_answer += other.without_answer;
        self.of_unknown_roles += other.of_unknown_roles;
        for (role, count) in other.unknown_roles {
            *self.unknown_roles.entry(role).or_default() += count;
        }
        self.malformed += other.malformed;
        self.malformed_places.extend(other.malformed_places);
        self.malformed_places.truncate(PLACES);
        self
    }

    /// Counts a record, which was left out if there is a reason.
    pub(super) fn count(&mut self, reason: Option<Reason>, path: &Path, number: u64) {
        let Some(reason) = reason else {
            self.records += 1;
            return;
        };
        match reason {
            Reason::TooLong => self.too_long += 1,
            Reason::WithoutAnswer => self.without_answer += 1,
            Reason::UnknownRoles(roles) => {
                self.of_unknown_roles += 1;
                for role in roles {
                    *self.unknown_roles.entry(role).or_default() += 1;
                }
            }
            Reason::Malformed(message) => {
                self.malformed += 1;
                if self.malformed_places.len() < PLACES {
                    self.malformed_places.push(Place { path: path.to_owned(), number, message });
                }
            }
        }
    }
}
