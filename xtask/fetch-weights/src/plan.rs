//! The plan of a download: present files, missing files, and the required disk space. Planning changes nothing.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use xtask::disk;
use xtask::failure::Failure;

use crate::destination::Destination;
use crate::listing::{File, Listing};
use crate::memory::Memory;
use crate::request::Request;

pub(crate) struct Plan {
    /// The missing files. Files with the same content are one job. The largest come first, so that the threads finish at about
    /// the same time.
    pub(crate) jobs: Vec<Vec<File>>,
    /// The number of bytes to download, without the received parts of incomplete files.
    pub(crate) download: u64,
    present: usize,
}

impl Plan {
    pub(crate) fn new(listing: &Listing, destination: &Destination) -> Result<Self> {
        let mut plan = Self { jobs: Vec::new(), download: 0, present: 0 };
        let mut jobs = BTreeMap::<_, Vec<File>>::new();
        for file in &listing.files {
            if destination.has(file).with_context(|| format!("cannot read {}", destination.path(file).display()))? {
                plan.present += 1;
            } else {
                jobs.entry(&file.digest).or_default().push(file.clone());
            }
        }
        plan.jobs = jobs.into_values().collect();
        plan.jobs.sort_by_key(|files| std::cmp::Reverse(files[0].size));
        for files in &plan.jobs {
            let kept = fs::metadata(destination.partial(&files[0])).map_or(0, |data| data.len());
            plan.download += files[0].size.saturating_sub(kept);
        }
        Ok(plan)
    }

    pub(crate) fn describe(&self, request: &Request, listing: &Listing, destination: &Destination) {
        let all: u64 = listing.files.iter().map(|file| file.size).sum();
        let there = if self.present > 0 { format!(", {} of them there already", self.present) } else { String::new() };
        println!("{} at {}, commit {}", request.model, request.revision, listing.commit);
        println!("  files     {}, {}{there}", listing.files.len(), disk::size(all));
        if let Some(memory) = Memory::of(listing) {
            print!("{memory}");
        }
        match self.jobs.len() {
            0 => println!("  download  nothing"),
            _ => println!("  download  {}", disk::size(self.download)),
        }
        println!("  disk      {} free", disk::free(&destination.folder()).map_or("unknown".to_owned(), disk::shown));
        println!("  folder    {}", destination.folder().display());
    }

    pub(crate) fn require_room(&self, request: &Request, destination: &Destination) -> Result<()> {
        let folder = destination.folder();
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
