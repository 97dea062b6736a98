//! Corpora as other engines write them: parquet of Spark and Ray, ids of datatrove, and folders of files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use llada_model::Tokenizer;
use llada_train::{
    TrainError,
    data::{
        Dataset,
        prepare::{Format, Options, Prepared, inputs, prepare},
    },
    tokenizer,
};
use serde_json::json;
use tempfile::TempDir;

use crate::{mutation::survives, stream::write_flat, told};

const DOCUMENTS: [&str; 5] = ["Forty-two is 42.", "", "The cat sat on the mat.", "naïve ☃ 東京", "the hat"];

struct Workplace {
    folder: TempDir,
}

impl Workplace {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        tokenizer::train(DOCUMENTS.into_iter().cycle().take(20), 300, &folder.path().join("tokenizer")).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn tokenizer(&self) -> Tokenizer {
        Tokenizer::open(&self.path("tokenizer")).unwrap().unwrap()
    }

    fn prepare(&self, input: &Path, format: Format) -> Result<(Prepared, Dataset), TrainError> {
        let options = Options { format, max_length: 64, answer_length: 1 };
        let out = tempfile::tempdir().unwrap().path().join("data");
        let files = inputs(&[input.to_owned()], format)?;
        let prepared = prepare(&files, options, self.tokenizer(), &out, |_| ())?;
        Ok((prepared, Dataset::open(&out).unwrap()))
    }

    /// Writes `DOCUMENTS` as datatrove does, in ids of `width` bytes, each ended by the end of the text.
    fn write_ids(&self, name: &str, width: usize, has_metadata: bool) -> PathBuf {
        let (tokenizer, path) = (self.tokenizer(), self.path(name));
        let (mut ids, mut ends) = (Vec::new(), Vec::new());
        for document in DOCUMENTS {
            ids.extend(tokenizer.encode(document).unwrap());
            ids.extend(tokenizer.eos_id());
            ends.extend((ids.len() as u64).to_le_bytes());
        }
        fs::write(&path, ids.iter().flat_map(|id| id.to_le_bytes()[..width].to_vec()).collect::<Vec<_>>()).unwrap();
        fs::write(self.path(&format!("{name}.index")), ends).unwrap();
        if has_metadata {
            fs::write(self.path(&format!("{name}.metadata")), format!("a|b|{width}\n{}\n5 T", ids.len())).unwrap();
        }
        path
    }
}

#[test]
fn all_engines_give_one_dataset() {
    let place = Workplace::new();
    let lines: Vec<String> = DOCUMENTS.iter().map(|text| json!({"text": text, "id": 7}).to_string()).collect();
    fs::write(place.path("a.jsonl"), lines.join("\n")).unwrap();
    let (prepared, expected) = place.prepare(&place.path("a.jsonl"), Format::Jsonl).unwrap();
    assert_eq!(prepared.items, 5);

    let rows: Vec<[&str; 2]> = DOCUMENTS.iter().map(|text| [*text, "x"]).collect();
    write_flat(&place.path("a.parquet"), ["text", "url"], &rows, 2);
    let parquet = place.prepare(&place.path("a.parquet"), Format::Jsonl).unwrap();

    // As Spark leaves its output.
    let spark = place.path("spark");
    fs::create_dir_all(spark.join("_temporary")).unwrap();
    fs::write(spark.join("_SUCCESS"), "").unwrap();
    fs::write(spark.join("_temporary/part-00002.json"), "{").unwrap();
    fs::write(spark.join(".part-00000.json.crc"), "crc").unwrap();
    fs::write(spark.join("part-00000-c000.json"), lines[..2].join("\n") + "\n").unwrap();
    write_flat(&spark.join("part-00001-c000.snappy.parquet"), ["text", "url"], &rows[2..], 10);
    let folder = place.prepare(&spark, Format::Jsonl).unwrap();

    let mut all = vec![parquet, folder];
    for (name, width, has_metadata) in [("two.ds", 2, true), ("four.ds", 4, true), ("told_by_nothing.ds", 2, false)] {
        all.push(place.prepare(&place.write_ids(name, width, has_metadata), Format::Datatrove).unwrap());
    }
    for (prepared, found) in all {
        assert_eq!(prepared.items, 5);
        assert_eq!(found.digest(), expected.digest());
    }
}

#[test]
fn chats_may_be_parquet() {
    let place = Workplace::new();
    write_flat(&place.path("a.parquet"), ["messages", "id"], &[["[]", "1"]], 1);
    // A column of text is no list of messages.
    let error = told(&place.prepare(&place.path("a.parquet"), Format::Chat).unwrap_err());
    assert!(error.contains("a.parquet: line 1: ") || error.contains("chat template"), "{error}");
    let error = told(&place.prepare(&place.path("a.parquet"), Format::Text).unwrap_err());
    assert!(error.contains("format is text") && error.contains("a.parquet is parquet"), "{error}");
}

#[test]
fn ids_that_cannot_be_used_are_told() {
    let place = Workplace::new();
    let path = place.write_ids("a.ds", 2, true);
    let (ids, index) = (fs::read(&path).unwrap(), fs::read(place.path("a.ds.index")).unwrap());
    let count = ids.len() / 2;
    let mask = place.tokenizer().mask_id().unwrap();
    let with = |place: usize, id: u16| {
        let mut ids = ids.clone();
        ids[2 * place..][..2].copy_from_slice(&id.to_le_bytes());
        ids
    };
    let ended = |number: usize, end: u64| {
        let mut index = index.clone();
        index[8 * number..][..8].copy_from_slice(&end.to_le_bytes());
        index
    };
    let metadata = format!("a|2\n{count}\n");
    let whole = || (ids.clone(), index.clone(), metadata.clone());
    let cases = [
        ((with(1, 9999), index.clone(), metadata.clone()), "a.ds: id 1 is 9999".to_owned()),
        ((with(2, mask as u16), index.clone(), metadata.clone()), format!("a.ds: id 2 is {mask}, the mask")),
        ((ids[1..].to_vec(), index.clone(), metadata.clone()), "no ids of 2 bytes: is it cut off?".to_owned()),
        (
            (ids[2..].to_vec(), index.clone(), metadata.clone()),
            format!("it has {} ids, its metadata promise", count - 1),
        ),
        ((ids.clone(), ended(4, u64::MAX), metadata.clone()), "a.ds.index: a document from".to_owned()),
        ((ids.clone(), ended(1, 0), metadata.clone()), "a.ds.index: a document from".to_owned()),
        ((ids.clone(), index[..32].to_vec(), metadata.clone()), "a.ds.index: the last document ends at".to_owned()),
        ((ids.clone(), index.clone(), "a|3\n1".to_owned()), "a.ds.metadata: its lines are not".to_owned()),
    ];
    for ((ids, index, metadata), message) in cases {
        fs::write(&path, ids).unwrap();
        fs::write(place.path("a.ds.index"), index).unwrap();
        fs::write(place.path("a.ds.metadata"), metadata).unwrap();
        let error = told(&place.prepare(&path, Format::Datatrove).unwrap_err());
        assert!(error.contains(&message), "{error}, not {message}");
    }
    let (ids, index, metadata) = whole();
    fs::write(place.path("a.ds.metadata"), metadata).unwrap();
    fs::write(place.path("a.ds.index"), &index).unwrap();
    survives(32, &ids, |damaged| {
        fs::write(&path, damaged).unwrap();
        _ = place.prepare(&path, Format::Datatrove);
    });
    fs::write(&path, &ids).unwrap();
    survives(32, &index, |damaged| {
        fs::write(place.path("a.ds.index"), damaged).unwrap();
        _ = place.prepare(&path, Format::Datatrove);
    });
    fs::remove_file(place.path("a.ds.index")).unwrap();
    let error = told(&place.prepare(&path, Format::Datatrove).unwrap_err());
    assert!(error.contains("a.ds.index"), "{error}");
    fs::create_dir(place.path("empty")).unwrap();
    let error = told(&place.prepare(&place.path("empty"), Format::Datatrove).unwrap_err());
    assert!(error.contains("no file ends with .ds"), "{error}");
}
