//! The files of a model, as listed by the hub or found in the cache. Paths that lead out of the model's folder are refused.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Error, Result};
use llada_hub::Cache;
use serde::Deserialize;

use crate::client::Client;
use crate::destination::Destination;
use crate::digest::Digest;
use crate::messages;
use crate::request::Request;
use crate::url;

#[derive(Clone, Debug)]
pub(crate) struct File {
    /// The path relative to the model's folder, with `/` as the separator.
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) digest: Digest,
}

/// The requested files of a commit.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) commit: String,
    pub(crate) files: Vec<File>,
    /// The number of the model's parameters, where the hub has counted them.
    pub(crate) parameters: Option<u64>,
}

/// The part of the hub's answer about a model that is used here.
#[derive(Deserialize)]
struct ModelInfo {
    sha: String,
    siblings: Vec<Sibling>,
    safetensors: Option<Safetensors>,
}

/// What the hub has read in the heads of the safetensors files.
#[derive(Deserialize)]
struct Safetensors {
    total: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: String,
    size: u64,
}

impl Listing {
    pub(crate) fn fetch(client: &Client, request: &Request) -> Result<Self> {
        let revision = url::encoded(&request.revision, "");
        let answer = client.ask(&format!("/api/models/{}/revision/{revision}?blobs=true", request.model))?;
        let mut listing = Self::read(&answer).map_err(|why| messages::strange_listing(request, &why))?;
        let all = listing.files.len();
        listing.files.retain(|file| request.only.as_ref().is_none_or(|only| only.matches(&file.path)));
        match (&request.only, listing.files.is_empty()) {
            (Some(only), true) => {
                Err(messages::strange_listing(request, &format!("--only {only} matches none of its {all} files")))
            }
            _ => Ok(listing),
        }
    }

    fn read(answer: &str) -> Result<Self, String> {
        let ModelInfo { sha, siblings, safetensors } =
            serde_json::from_str(answer).map_err(|error| error.to_string())?;
        if !matches!(Digest::parse(&sha), Some(Digest::Git(_))) {
            return Err(format!("{sha:?} is no commit"));
        }
        let mut seen = BTreeSet::new();
        let mut files = Vec::new();
        for Sibling { rfilename: path, size, blob_id, lfs } in siblings {
            if !stays_inside(&path) {
                return Err(format!("{path:?} would lie outside of the model's folder"));
            }
            if !seen.insert(path.clone()) {
                return Err(format!("{path:?} is in it twice"));
            }
            let (size, name) = match lfs {
                Some(Lfs { sha256, size }) => (Some(size), Some(sha256)),
                None => (size, blob_id),
            };
            let (Some(size), Some(digest)) = (size, name.as_deref().and_then(Digest::parse)) else {
                return Err(format!("{path:?} has no size or no digest to check it against"));
            };
            files.push(File { path, size, digest });
        }
        if files.is_empty() {
            return Err("it is empty".to_owned());
        }
        Ok(Self { commit: sha, files, parameters: safetensors.map(|counted| counted.total) })
    }

    /// Lists the files in the cache without using the network. The names of the blobs are their digests.
    pub(crate) fn cached(request: &Request) -> Result<(Self, Destination)> {
        let cache = Cache::locate();
        let repository = cache.repository(&request.model);
        let (Some(commit), Some(snapshot), None) =
            (repository.commit(&request.revision), repository.snapshot(&request.revision), &request.dest)
        else {
            return Err(messages::absent_offline(request, cache.root()));
        };
        let mut files = Vec::new();
        let mut folders = vec![snapshot.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push(cached_file(&snapshot, &path)?);
                }
            }
        }
        files.retain(|file| request.only.as_ref().is_none_or(|only| only.matches(&file.path)));
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok((Self { files, commit: commit.clone(), parameters: None }, Destination::Cache { repository, commit }))
    }
}

fn cached_file(snapshot: &Path, path: &Path) -> Result<File> {
    let digest = fs::read_link(path).ok().and_then(|blob| Digest::parse(blob.file_name()?.to_str()?));
    let digest =
        digest.with_context(|| format!("{} is not a link to a blob that is named by a digest", path.display()))?;
    let relative = path.strip_prefix(snapshot).map_err(Error::from)?.display().to_string();
    // A dangling link is a missing file, which gets the size 0.
    Ok(File { path: relative, size: fs::metadata(path).map_or(0, |data| data.len()), digest })
}

/// Returns true if a path consists of plain names on every operating system.
fn stays_inside(path: &str) -> bool {
    let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    let names = path.split('/').all(|name| !name.is_empty() && name != "." && name != "..");
    plain && names && !path.contains(['\\', '\0', ':']) && PathBuf::from(path).is_relative()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA1: &str = "ce013625030ba8dba906f756967f9e9ca394464a";

    fn answer(path: &str, rest: &str) -> String {
        let path = serde_json::to_string(path).unwrap();
        format!(r#"{{"sha": "{SHA1}", "siblings": [{{"rfilename": {path}{rest}}}]}}"#)
    }

    fn small() -> String {
        format!(r#", "size": 6, "blobId": "{SHA1}""#)
    }

    #[test]
    fn the_digest_of_a_large_file_is_that_of_its_content_not_of_its_pointer() {
        let sha256 = "a".repeat(64);
        let rest =
            format!(r#", "size": 9, "blobId": "{SHA1}", "lfs": {{"sha256": "{sha256}", "size": 9, "pointerSize": 1}}"#);
        let listing = Listing::read(&answer("a/b.safetensors", &rest)).unwrap();
        assert_eq!((listing.commit.as_str(), listing.files[0].digest.clone()), (SHA1, Digest::Sha256(sha256)));
        assert_eq!(Listing::read(&answer("a", &small())).unwrap().files[0].digest, Digest::Git(SHA1.to_owned()));
    }

    #[test]
    fn paths_that_leave_the_folder_are_refused() {
        for path in
            ["../a", "/etc/passwd", "a/../../b", "a/..", ".", "", "a//b", "a/", "a\\..\\b", "C:\\a", "a\0b", "./a"]
        {
            let why = Listing::read(&answer(path, &small())).unwrap_err();
            assert!(why.contains("outside"), "{path}: {why}");
        }
        for path in ["a", ".gitattributes", "a/b/c.json", "a..b", "ü b"] {
            assert!(Listing::read(&answer(path, &small())).is_ok(), "{path}");
        }
    }

    #[test]
    fn what_could_not_be_checked_is_refused() {
        for rest in ["", r#", "size": 6"#, r#", "size": 6, "blobId": "../../x""#] {
            assert!(Listing::read(&answer("a", rest)).unwrap_err().contains("digest"), "{rest}");
        }
        assert!(Listing::read(&answer("a", &small()).replacen(SHA1, "main", 1)).unwrap_err().contains("commit"));
        assert!(Listing::read(&format!(r#"{{"sha": "{SHA1}", "siblings": []}}"#)).unwrap_err().contains("empty"));
        assert!(Listing::read("<html>").is_err());
    }
}
