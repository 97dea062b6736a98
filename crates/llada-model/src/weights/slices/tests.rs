//! Slices that fit together, and slices that do not.

use std::{collections::BTreeMap, fs, path::Path};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::*;
use crate::{Weights, files::write_safetensors_with};

/// A slice of the tensor `name`: its first row, its shape, and its dtype. Its bytes count on from those of its first row.
type Given<'a> = (&'a str, usize, &'a [usize], Dtype);

const F32: Dtype = Dtype::F32;

/// Writes the slices of each process into `folder`.
fn write_all(folder: &Path, processes: &[&[Given<'_>]]) {
    for (rank, slices) in processes.iter().enumerate() {
        let bytes = |(_, first_row, shape, dtype): &Given<'_>| {
            let width = shape[1..].iter().product::<usize>() * dtype.bitsize() / 8;
            (first_row * width..(first_row + shape[0]) * width).map(|place| place as u8).collect::<Vec<u8>>()
        };
        let bytes: Vec<Vec<u8>> = slices.iter().map(bytes).collect();
        let views = slices.iter().zip(&bytes).map(|((name, first_row, shape, dtype), bytes)| {
            (name.to_string(), *first_row, TensorView::new(*dtype, shape.to_vec(), bytes).unwrap())
        });
        write(folder, rank, views.collect()).unwrap();
    }
}

/// The error of a merge, without the path of the folder.
fn refusal(folder: &Path) -> String {
    let error = merge_slices(folder, &folder.join("merged/model.safetensors")).unwrap_err().to_string();
    error.replace(&format!("{}/", folder.display()), "").replace(&folder.display().to_string(), "FOLDER")
}

#[test]
fn slices_become_whole_tensors_whatever_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    // The vector has its rows in two files of three, and the last process comes first.
    write_all(
        at,
        &[
            &[("w", 4, &[1, 3], F32)],
            &[("w", 0, &[1, 3], F32), ("v", 0, &[4], F32)],
            &[("w", 1, &[3, 3], F32), ("v", 4, &[2], F32)],
        ],
    );
    let path = at.join("merged/model.safetensors");
    fs::create_dir(at.join("merged")).unwrap();
    merge_slices(at, &path).unwrap();
    let merged = fs::read(&path).unwrap();
    let tensors = SafeTensors::deserialize(&merged).unwrap();
    for (name, shape, bytes) in [("v", vec![6], 24), ("w", vec![5, 3], 60)] {
        let view = tensors.tensor(name).unwrap();
        assert_eq!(view.shape(), shape);
        assert_eq!(view.data(), (0..bytes).collect::<Vec<u8>>());
    }
    // Merged once more, from the whole tensors, it is the same file.
    fs::rename(at.join("merged"), at.join("whole")).unwrap();
    fs::create_dir(at.join("merged")).unwrap();
    merge_slices(&at.join("whole"), &path).unwrap();
    assert!(fs::read(&path).unwrap() == merged);
}

#[test]
fn a_folder_of_slices_is_no_folder_of_a_model() {
    let folder = tempfile::tempdir().unwrap();
    write_all(folder.path(), &[&[("w", 0, &[2, 3], F32)]]);
    let error = Weights::open(folder.path()).unwrap_err();
    assert!(error.to_string().ends_with("its tensors are in slices of several processes"), "{error}");
    assert!(error.hint().is_some());
}

#[test]
fn the_same_slices_are_the_same_file() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let read = |folder: &Path| fs::read(folder.join("shard-00001-model-00001-of-00001.safetensors")).unwrap();
    for folder in &folders {
        write_all(folder.path(), &[&[("b", 0, &[2, 2], F32), ("a", 2, &[3, 2], F32)]]);
    }
    assert!(read(folders[0].path()) == read(folders[1].path()));
    let (_, metadata) = SafeTensors::read_metadata(&read(folders[0].path())).unwrap();
    let extra: BTreeMap<_, _> = metadata.metadata().clone().unwrap().into_iter().collect();
    let expected = [
        ("DCP_SHARDING_INFO", r#"{"a":{"saved_offsets":[2,0]},"b":{"saved_offsets":[0,0]}}"#),
        ("DCP_VERSION", "1.0"),
        ("format", "pt"),
    ];
    assert_eq!(extra, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
}

#[test]
fn slices_that_are_not_all_rows_once_are_refused() {
    let first = "shard-00001-model-00001-of-00001.safetensors";
    let second = "shard-00002-model-00001-of-00001.safetensors";
    let cases: [(&[&[Given<'_>]], String); 7] = [
        (
            &[&[("w", 0, &[2, 3], F32)], &[("w", 3, &[1, 3], F32)]],
            format!("{second}: tensor w: rows 2 to 2 are in no slice"),
        ),
        (&[&[("w", 1, &[2, 3], F32)]], format!("{first}: tensor w: rows 0 to 0 are in no slice")),
        (
            &[&[("w", 0, &[2, 3], F32)], &[("w", 1, &[2, 3], F32)]],
            format!("{second}: tensor w: row 1 is in another slice too"),
        ),
        (
            &[&[("w", 0, &[2, 3], F32)], &[("w", 0, &[2, 3], F32)]],
            format!("{second}: tensor w: row 0 is in another slice too"),
        ),
        (
            &[&[("w", 0, &[2, 4], F32)], &[("w", 2, &[2, 3], F32)]],
            format!("{first}: tensor w: [2, 4] from row 0 on is not of a whole of shape [4, 3]"),
        ),
        (
            &[&[("w", 0, &[2, 3], Dtype::BF16)], &[("w", 2, &[2, 3], F32)]],
            format!("{second}: tensor w: it is stored as F32, and as another dtype in another slice"),
        ),
        (
            &[&[("w", 0, &[2, 3], Dtype::I32)]],
            format!("{first}: tensor w is stored as I32, only F32 and BF16 are read"),
        ),
    ];
    for (processes, message) in cases {
        let folder = tempfile::tempdir().unwrap();
        write_all(folder.path(), processes);
        assert_eq!(refusal(folder.path()), message);
    }
}

#[test]
fn tensors_are_taken_as_large_as_they_have_to_be() {
    let folder = tempfile::tempdir().unwrap();
    write_all(folder.path(), &[&[("w", 0, &[2, 3], F32), ("x", 0, &[1], F32)], &[("w", 2, &[2, 3], F32)]]);
    let take = |name: &str, shape: &[usize]| SlicedWeights::open(folder.path()).unwrap().take(name, shape);
    let rows: Vec<usize> = take("w", &[4, 3]).unwrap().iter().map(|slice| slice.first_row).collect();
    assert_eq!(rows, [0, 2]);
    for (shape, message) in [
        ([5, 3], "tensor w: rows 4 to 4 are in no slice"),
        ([3, 3], "tensor w: [2, 3] from row 2 on is not of a whole of shape [3, 3]"),
        ([4, 4], "tensor w: [2, 3] from row 0 on is not of a whole of shape [4, 4]"),
    ] {
        let error = take("w", &shape).unwrap_err().to_string();
        assert!(error.ends_with(message), "{error}");
    }
    assert!(take("y", &[1]).unwrap_err().to_string().ends_with("tensor y is missing"));
    let mut weights = SlicedWeights::open(folder.path()).unwrap();
    weights.take("w", &[4, 3]).unwrap();
    let error = weights.finish().unwrap_err().to_string();
    assert!(error.ends_with("shard-00001-model-00001-of-00001.safetensors: unexpected tensor x"), "{error}");
}

#[test]
fn metadata_that_make_no_sense_are_refused() {
    let file = "shard-00001-model-00001-of-00001.safetensors";
    let huge = format!(r#"{{"w":{{"saved_offsets":[{},0]}}}}"#, usize::MAX);
    for (version, places, message) in [
        ("1.0", r#"{"w":{"saved_offsets":[0,1]}}"#, "tensor w of shape [2, 3] begins at [0, 1], not at a row"),
        ("1.0", r#"{"w":{"saved_offsets":[0]}}"#, "tensor w of shape [2, 3] begins at [0], not at a row"),
        ("1.0", r#"{"w":{"saved_offsets":[]}}"#, "tensor w has no rows to divide"),
        ("1.0", &huge, &format!("tensor w begins at row {}, which no tensor has", usize::MAX)),
        ("1.0", r#"{"x":{"saved_offsets":[0,0]}}"#, "DCP_SHARDING_INFO does not say where tensor w begins"),
        ("1.0", r#"{"w":{"saved_offsets":[-1,0]}}"#, "DCP_SHARDING_INFO: invalid value: integer `-1`"),
        ("1.0", r#"{"w":{"saved_offsets":[1e9,0]}}"#, "DCP_SHARDING_INFO: invalid type: floating point"),
        ("1.0", r#"{"w":"#, "DCP_SHARDING_INFO: EOF"),
        ("1.0", "", "DCP_SHARDING_INFO: EOF"),
        ("2.0", "{}", "DCP_VERSION is 2.0, and 1.0 is read"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let metadata = BTreeMap::from([(VERSION, version.to_owned()), (SHARDING, places.to_owned())]);
        let view = TensorView::new(F32, vec![2, 3], &[0; 24]).unwrap();
        let tensors = with_heads(vec![("w", view)]);
        write_safetensors_with(&folder.path().join(file), metadata, tensors, |view, out| out.write_all(view.data()))
            .unwrap();
        let error = refusal(folder.path());
        assert!(error.starts_with(&format!("{file}: {message}")), "{error}");
    }
    // One of plain safetensors.
    let folder = tempfile::tempdir().unwrap();
    let view = TensorView::new(F32, vec![2, 3], &[0; 24]).unwrap();
    safetensors::serialize_to_file([("w", view)], None, &folder.path().join(file)).unwrap();
    assert_eq!(refusal(folder.path()), format!("{file}: DCP_VERSION is missing, and 1.0 is read"));
}
