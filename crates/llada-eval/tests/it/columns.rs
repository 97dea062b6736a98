//! Columns of parquet as PyArrow writes them: text is read however it is stored, and what is none is an error that names
//! column and type, never something else.

use llada_eval::{Style, read};

use crate::{choice, complaint, fixture, generation, task};

fn prompt(file: &str) -> Result<String, String> {
    let records = read(&fixture("parquet").join(file)).map_err(|error| complaint(&error))?;
    let question = task("gsm8k").question(&records[0], Style::Plain).map_err(|error| complaint(&error))?;
    Ok(generation(question).prompt)
}

#[test]
fn text_is_text_however_it_is_stored() {
    let expected = "Question: Ida has 3 pears. How many?\nAnswer:";
    for file in [
        "codec_none",
        "codec_snappy",
        "codec_gzip",
        "codec_brotli",
        "codec_lz4",
        "codec_zstd",
        "text_dictionary",
        "text_large",
        "text_view",
        "text_binary",
        "text_version_1",
        "text_pages_2",
        "text_beside_others",
    ] {
        assert_eq!(prompt(&format!("{file}.parquet")).as_deref(), Ok(expected), "{file}");
    }
}

#[test]
fn what_is_no_text_is_named() {
    for (file, complaint) in [
        ("date", "column question is of type DATE, which is no text; hint: write it as text"),
        ("decimal", "column question is of type DECIMAL,"),
        ("time", "column question is of type TIME_MICROS,"),
        ("timestamp_ns", "column question is of type TIMESTAMP,"),
        ("timestamp_ms", "column question is of type TIMESTAMP_MILLIS,"),
        ("map", "column question is of type MAP,"),
        ("fixed", "column question is of type FIXED_LEN_BYTE_ARRAY,"),
        ("bytes", "column question is of type BYTE_ARRAY, not UTF-8,"),
        ("dates", "column question is of type LIST of DATE,"),
        ("struct", "column question: {\"text\":\"a\"} is not a text"),
        ("list", "column question: [\"a\"] is not a text"),
        ("integer", "column question: 5 is not a text"),
        ("float", "column question: 1.5 is not a text"),
        ("truth", "column question: true is not a text"),
        ("nulls", "no column question, but answer"),
        ("null_text", "no column question, but answer"),
    ] {
        let error = prompt(&format!("no_text_{file}.parquet")).unwrap_err();
        assert!(error.contains("row 1") && error.contains(complaint), "{file}: {error}");
    }
}

#[test]
fn structures_and_lists_are_read() {
    for file in ["arc", "arc_own", "arc_large", "arc_null", "arc_null_option"] {
        let records = read(&fixture("parquet").join(format!("{file}.parquet"))).unwrap();
        let asked = |row: usize| task("arc_easy").question(&records[row], Style::Plain).map(choice);
        let first = asked(0).unwrap();
        let continuations: Vec<&str> = first.options.iter().map(|option| option.continuation.as_str()).collect();
        assert_eq!((continuations, first.options[1].right), (vec![" a", " b"], true), "{file}");
        let second = asked(1).map_err(|error| error.to_string());
        match file {
            "arc_null" => assert!(second.unwrap_err().contains("row 2: no column choices.text")),
            "arc_null_option" => assert!(second.unwrap_err().contains("[\"a\",null] is not a list of texts")),
            _ => assert!(second.unwrap().options[0].right),
        }
    }
}
