//! CSV files. The first row names the columns, and every value is a text, exactly as written.

use std::{collections::HashSet, path::Path, sync::Arc};

use csv::ReaderBuilder;

use crate::{EvalError, Record};

pub(super) fn read(path: &Arc<Path>, bytes: &[u8], separator: u8) -> Result<Vec<Record>, EvalError> {
    let failed = |source| EvalError::Csv { path: path.to_path_buf(), source };
    let mut rows = ReaderBuilder::new().delimiter(separator).from_reader(bytes);
    let columns = rows.headers().map_err(failed)?.clone();
    let mut seen = HashSet::new();
    for column in &columns {
        if !seen.insert(column) {
            return Err(EvalError::Twice { path: path.to_path_buf(), column: column.to_owned() });
        }
    }
    let mut records = Vec::new();
    for (row, values) in (1..).zip(rows.records()) {
        let values = values.map_err(failed)?;
        let values = columns.iter().zip(&values).map(|(column, value)| (column.to_owned(), value.into()));
        records.push(Record::new(values.collect(), path, row));
    }
    Ok(records)
}
