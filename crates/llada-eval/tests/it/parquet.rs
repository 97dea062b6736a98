//! Parquet: the same questions as from JSONL, and damaged files.

use std::{fs, path::Path, sync::Arc};

use llada_eval::{Style, read};
use parquet::{
    basic::{Compression, ZstdLevel},
    data_type::{ByteArray, ByteArrayType, Int64Type},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use tempfile::tempdir;

use crate::{choice, complaint, task};

const SCHEMA: &str = "message schema {
    optional binary question (STRING);
    optional binary subject (STRING);
    optional group choices (LIST) { repeated group list { optional binary element (STRING); } }
    optional int64 answer;
}";

/// MMLU questions as its official files have them: nullable columns, a list.
fn write(path: &Path, compression: Compression, questions: &[(&str, [&str; 4], i64)]) {
    let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut writer = SerializedFileWriter::new(fs::File::create(path).unwrap(), schema, Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let present = vec![1; questions.len()];
    for column in [questions.iter().map(|question| question.0).collect(), vec!["world_trades"; questions.len()]] {
        let texts: Vec<ByteArray> = column.into_iter().map(ByteArray::from).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&texts, Some(&present), None).unwrap();
        column.close().unwrap();
    }
    let choices: Vec<ByteArray> = questions.iter().flat_map(|question| question.1).map(ByteArray::from).collect();
    let repeated: Vec<i16> = (0..choices.len()).map(|index| i16::from(index % 4 > 0)).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&choices, Some(&vec![3; choices.len()]), Some(&repeated)).unwrap();
    column.close().unwrap();
    let answers: Vec<i64> = questions.iter().map(|question| question.2).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&answers, Some(&present), None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn columns_are_read_by_name() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("test.parquet");
    let choices = ["a baker", "a miller", "a smith", "a tailor"];
    let questions = [("Who bakes bread?", choices, 0), ("Who mills corn?", choices, 1), ("Who?", choices, 7)];
    for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::ZSTD(ZstdLevel::default())] {
        write(&path, compression, &questions);
        let records = read(&path).unwrap();
        let asked = choice(task("mmlu").question(&records[1], Style::Plain).unwrap());
        let context = "Who mills corn?\nA. a baker\nB. a miller\nC. a smith\nD. a tailor\nAnswer:";
        assert_eq!(asked.options[1].context, context);
        assert!(asked.options[1].right && !asked.options[0].right);
        let error = task("mmlu").question(&records[2], Style::Plain).unwrap_err().to_string();
        assert!(
            error.ends_with("test.parquet, row 3, column answer: 7 is not an index of one of the 4 options"),
            "{error}"
        );
    }
}

#[test]
fn damaged_files_are_named() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("test.parquet");
    write(&path, Compression::SNAPPY, &[("Who bakes bread?", ["a", "b", "c", "d"], 0)]);
    let whole = fs::read(&path).unwrap();
    for length in [4, 5, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let error = complaint(&read(&path).unwrap_err());
        assert!(
            error.contains("test.parquet: not a parquet file that can be read") && error.contains("hint: "),
            "{error}"
        );
    }
    write(&path, Compression::SNAPPY, &[]);
    assert!(read(&path).unwrap_err().to_string().ends_with("test.parquet holds no records"));
}
