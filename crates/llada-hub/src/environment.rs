//! The environment variables of `huggingface_hub`, interpreted as by its `constants.py` and `utils/_auth.py`.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::expand::expanded;

const HUB: &str = "https://huggingface.co";

/// The settings that environment variables determine. A variable that is set to the empty string counts as set where
/// `huggingface_hub` treats it so.
#[derive(Clone, PartialEq, Eq)]
pub struct Environment {
    /// The home folder of Hugging Face's programs: `HF_HOME`, or `huggingface` in `XDG_CACHE_HOME`.
    pub home: PathBuf,
    /// The folder of the cache: `HF_HUB_CACHE`, its former name `HUGGINGFACE_HUB_CACHE`, or `hub` in the home folder.
    pub cache: PathBuf,
    /// The file of the token: `HF_TOKEN_PATH`, or `token` in the home folder.
    pub token_path: PathBuf,
    /// The address of the hub without a trailing slash: `HF_ENDPOINT`.
    pub endpoint: String,
    /// True if the hub must not be contacted: `HF_HUB_OFFLINE` or, if that is empty, `TRANSFORMERS_OFFLINE`.
    pub is_offline: bool,
    /// True if no token must be sent: `HF_HUB_DISABLE_IMPLICIT_TOKEN`.
    pub is_anonymous: bool,
    /// The token of a variable with the variable's name: `HF_TOKEN` or, if that is empty, `HUGGING_FACE_HUB_TOKEN`.
    token: Option<(String, &'static str)>,
}

impl Environment {
    /// Reads the environment variables of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self::read(&|name| env::var_os(name))
    }

    fn read(variable: &dyn Fn(&OsStr) -> Option<OsString>) -> Self {
        let get = |name: &str| variable(OsStr::new(name));
        let text = |name| get(name).map(|value| value.to_string_lossy().into_owned()).unwrap_or_default();
        let folder = |path: OsString| PathBuf::from(expanded(path, variable));
        let home = get("HF_HOME").unwrap_or_else(|| {
            let caches = get("XDG_CACHE_HOME").unwrap_or_else(|| "~/.cache".into());
            Path::new(&caches).join("huggingface").into()
        });
        let home = folder(home);
        // As in huggingface_hub, paths below the home folder are expanded twice.
        let cache =
            get("HF_HUB_CACHE").or_else(|| get("HUGGINGFACE_HUB_CACHE")).unwrap_or_else(|| home.join("hub").into());
        let token_path = get("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token").into());
        let endpoint = get("HF_ENDPOINT").map_or_else(|| HUB.to_owned(), |value| value.to_string_lossy().into_owned());
        let offline = Some(text("HF_HUB_OFFLINE")).filter(|value| !value.is_empty());
        let token = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"].into_iter().find(|name| !text(name).is_empty());
        Self {
            cache: folder(cache),
            token_path: folder(token_path),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            is_offline: is_true(&offline.unwrap_or_else(|| text("TRANSFORMERS_OFFLINE"))),
            token: token.and_then(|name| Some((cleaned(&text(name))?, name))),
            is_anonymous: is_true(&text("HF_HUB_DISABLE_IMPLICIT_TOKEN")),
            home,
        }
    }

    /// Returns the token and its source, which is the name of a variable or the path of the file.
    ///
    /// # Errors
    /// If the file exists but cannot be read.
    pub fn token(&self) -> io::Result<Option<(String, String)>> {
        if let Some((token, name)) = &self.token {
            return Ok(Some((token.clone(), (*name).to_owned())));
        }
        match fs::read_to_string(&self.token_path) {
            Ok(text) => Ok(cleaned(&text).map(|token| (token, self.token_path.display().to_string()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The token is secret and not printed.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("cache", &self.cache)
            .field("endpoint", &self.endpoint)
            .field("is_offline", &self.is_offline)
            .finish_non_exhaustive()
    }
}

fn is_true(value: &str) -> bool {
    ["1", "ON", "YES", "TRUE"].contains(&value.to_uppercase().as_str())
}

/// Removes line ends and surrounding white space from a token. Returns `None` if nothing is left.
fn cleaned(token: &str) -> Option<String> {
    let token = token.replace(['\r', '\n'], "");
    // In Python the four ASCII separators are white space.
    let token = token.trim_matches(|c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c));
    (!token.is_empty()).then(|| token.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use nix::unistd::{Uid, User};
    use serde::Deserialize;
    use serde_json::{Map, Value};

    use super::*;

    /// What `tests/fixtures/environment.py` writes.
    #[derive(Deserialize)]
    struct Table {
        files: BTreeMap<String, String>,
        base: Map<String, Value>,
        expected: Map<String, Value>,
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        set: Map<String, Value>,
        expected: Map<String, Value>,
    }

    /// The values of an environment as the table has them, in a folder.
    fn values(environment: &Map<String, Value>, folder: &Path) -> Map<String, Value> {
        let variable = |name: &OsStr| Some(environment.get(name.to_str()?)?.as_str()?.into());
        let mut found = Environment::read(&variable);
        let token_path = found.token_path.clone();
        found.token_path = folder.join(&token_path);
        let token = match found.token() {
            Ok(token) => token.map(|(token, _)| token).into(),
            Err(_) => serde_json::json!({ "error": "the file cannot be read" }),
        };
        let path = |path: &Path| Value::from(path.to_str().unwrap());
        let values = [
            ("home", path(&found.home)),
            ("cache", path(&found.cache)),
            ("token_path", path(&token_path)),
            ("endpoint", found.endpoint.clone().into()),
            ("is_offline", found.is_offline.into()),
            ("is_anonymous", found.is_anonymous.into()),
            ("token", token),
        ];
        values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    #[test]
    fn variables_are_read_as_huggingface_hub_reads_them() {
        let text = include_str!("../tests/fixtures/environment.json");
        let home = |user: nix::Result<Option<User>>| user.unwrap().unwrap().dir.display().to_string();
        let text = text.replace("{user}", &home(User::from_uid(Uid::current())));
        let text = text.replace("{root}", &home(User::from_name("root")));
        let table: Table = serde_json::from_str(&text).unwrap();
        assert!(table.cases.len() > 400);
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in &table.files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        for Case { set, expected } in table.cases {
            let (mut environment, mut all) = (table.base.clone(), table.expected.clone());
            environment.extend(set.clone());
            all.extend(expected);
            assert_eq!(values(&environment, folder.path()), all, "{set:?}");
        }
    }
}
