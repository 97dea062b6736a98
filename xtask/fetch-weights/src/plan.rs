//! What is there, what is to be downloaded, and whether there is room for it. Nothing is changed here.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use xtask::disk;
use xtask::failure::Failure;

use crate::listing::{File, Listing};
use crate::place::Place;
use crate::request::Request;

pub(crate) struct Plan {
    /// Largest first, so that no large one is left alone at the end; files with the same content are one job.
    pub(crate) jobs: Vec<Vec<File>>,
    /// Bytes that are to be downloaded, those of unfinished files not counted.
    pub(crate) download: u64,
    present: usize,
}

impl Plan {
    pub(crate) fn new(listing: &Listing, place: &Place) -> Result<Self> {
        let mut plan = Self { jobs: Vec::new(), download: 0, present: 0 };
        let mut jobs = BTreeMap::<_, Vec<File>>::new();
        for file in &listing.files {
            if place.has(file).with_context(|| format!("cannot read {}", place.path(file).display()))? {
                plan.present += 1;
            } else {
                jobs.entry(&file.digest).or_default().push(file.clone());
            }
        }
        plan.jobs = jobs.into_values().collect();
        plan.jobs.sort_by_key(|files| std::cmp::Reverse(files[0].size));
        for files in &plan.jobs {
            let kept = fs::metadata(place.partial(&files[0])).map_or(0, |data| data.len());
            plan.download += files[0].size.saturating_sub(kept);
        }
        Ok(plan)
    }

    pub(crate) fn describe(&self, request: &Request, listing: &Listing, place: &Place) {
        let all: u64 = listing.files.iter().map(|file| file.size).sum();
        let there = if self.present > 0 { format!(", {} of them there already", self.present) } else { String::new() };
        println!("{} at {}, commit {}", request.model, request.revision, listing.commit);
        println!("  files     {}, {}{there}", listing.files.len(), disk::size(all));
        match self.jobs.len() {
            0 => println!("  download  nothing"),
            _ => println!("  download  {}", disk::size(self.download)),
        }
        println!("  disk      {} free", disk::free(&place.folder()).map_or("unknown".to_owned(), disk::shown));
        println!("  folder    {}", place.folder().display());
    }

    pub(crate) fn require_room(&self, request: &Request, place: &Place) -> Result<()> {
        let folder = place.folder();
        match disk::free(&folder) {
            Some(free) if free.saturating_mul(1_000_000) < self.download => Err(Failure::environment(
                format!(
                    "{} are free where {} would be, and {} are needed",
                    disk::shown(free),
                    folder.display(),
                    disk::size(self.download)
                ),
                match &request.dest {
                    Some(_) => format!("cargo xtask fetch-weights {} --dest /a/larger/disk", request.model),
                    None => format!("export HF_HOME=/a/larger/disk && {}", request.again()),
                },
            )
            .into()),
            _ => Ok(()),
        }
    }
}
