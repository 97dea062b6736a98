//! CSV: the first row names the columns, and every value is a text, as it is written.

use std::{path::Path, sync::Arc};

use csv::{ReaderBuilder, StringRecord};

use crate::{EvalError, Record};

pub(super) fn read(path: &Arc<Path>, bytes: &[u8], separator: u8) -> Result<Vec<Record>, EvalError> {
    let failed = |source| EvalError::Csv { path: path.to_path_buf(), source };
    let mut rows = ReaderBuilder::new().delimiter(separator).from_reader(bytes);
    let columns = rows.headers().map_err(failed)?.clone();
    if let Some(column) =
        columns.iter().enumerate().find_map(|(index, column)| columns.iter().take(index).find(|&other| other == column))
    {
        return Err(EvalError::Twice { path: path.to_path_buf(), column: column.to_owned() });
    }
    let record = |(row, values): (usize, csv::Result<StringRecord>)| {
        let values = values.map_err(failed)?;
        let values = columns.iter().zip(&values).map(|(column, value)| (column.to_owned(), value.into()));
        Ok(Record::new(values.collect(), path, row))
    };
    (1..).zip(rows.records()).map(record).collect()
}
