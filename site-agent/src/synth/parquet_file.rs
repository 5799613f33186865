//! A Parquet file, written as people come: rows are collected in arrays, and written a batch at a time.

use super::SynthError;
use super::cell::{Cell, Column, Kind, spread};
use arrow_array::builder::{
    Date32Builder, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use jiff::civil::{Date, date};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Rows that are collected before they are written.
const BATCH_ROWS: usize = 8192;
/// Rows of a row group: what the writer holds in memory, and what a reader's threads share out.
const GROUP_ROWS: usize = 1 << 17;
const EPOCH: Date = date(1970, 1, 1);
const MICROS_A_DAY: i64 = 86_400_000_000;

/// A Parquet file being written.
pub(super) struct ParquetFile {
    path: PathBuf,
    columns: &'static [Column],
    schema: SchemaRef,
    cells: Vec<Cells>,
    rows: usize,
    writer: ArrowWriter<File>,
}

/// The collected cells of a column.
enum Cells {
    Whole(Int64Builder),
    Number(Float64Builder),
    Day(Date32Builder),
    Time(TimestampMicrosecondBuilder),
    Text(StringBuilder),
}

impl ParquetFile {
    /// A new file with these columns.
    pub(super) fn create(path: PathBuf, columns: &'static [Column]) -> Result<Self, SynthError> {
        let file = File::create_new(&path).map_err(SynthError::io(&path))?;
        let field = |column: &Column| Field::new(column.name, Cells::form(column.kind), true);
        let schema: SchemaRef = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .build();
        let writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties));
        let writer = writer.map_err(io_of).map_err(SynthError::io(&path))?;
        let cells = columns.iter().map(|column| Cells::new(column.kind)).collect();
        Ok(Self { path, columns, schema, cells, rows: 0, writer })
    }

    /// Adds a row, as [`super::files::CsvFile::row`].
    ///
    /// # Panics
    /// As [`spread`]; and a cell that is not of its column's kind: a bug of the caller.
    pub(super) fn row(&mut self, cells: &[(&str, Cell<'_>)]) -> Result<(), SynthError> {
        let mut collected = self.cells.iter_mut();
        spread(self.columns.iter().map(|column| column.name), cells, |cell| {
            collected.next().expect("as many as columns").push(cell);
        });
        self.rows += 1;
        if self.rows == BATCH_ROWS { self.write() } else { Ok(()) }
    }

    /// Writes out what is still held back, and the footer.
    pub(super) fn finish(mut self) -> Result<(), SynthError> {
        self.write()?;
        self.writer.close().map_err(io_of).map_err(SynthError::io(&self.path))?;
        Ok(())
    }

    fn write(&mut self) -> Result<(), SynthError> {
        self.rows = 0;
        let arrays = self.cells.iter_mut().map(Cells::finish).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays)
            .expect("arrays of the schema's types, one cell a row");
        self.writer.write(&batch).map_err(io_of).map_err(SynthError::io(&self.path))
    }
}

fn io_of(error: ParquetError) -> io::Error {
    io::Error::other(error)
}

impl Cells {
    fn form(kind: Kind) -> DataType {
        match kind {
            Kind::Whole => DataType::Int64,
            Kind::Number => DataType::Float64,
            Kind::Day => DataType::Date32,
            Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, None),
            Kind::Text => DataType::Utf8,
        }
    }

    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Whole => Self::Whole(Int64Builder::new()),
            Kind::Number => Self::Number(Float64Builder::new()),
            Kind::Day => Self::Day(Date32Builder::new()),
            Kind::Time => Self::Time(TimestampMicrosecondBuilder::new()),
            Kind::Text => Self::Text(StringBuilder::new()),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "measured values, far below 2^53")]
    fn push(&mut self, cell: Cell<'_>) {
        match (self, cell) {
            (Self::Whole(cells), Cell::Empty) => cells.append_null(),
            (Self::Whole(cells), Cell::Whole(number)) => cells.append_value(number),
            (Self::Number(cells), Cell::Empty) => cells.append_null(),
            (Self::Number(cells), Cell::Whole(number)) => cells.append_value(number as f64),
            // Rounded once: the number nearest to the decimal that CSV writes.
            (Self::Number(cells), Cell::Tenths(tenths)) => cells.append_value(tenths as f64 / 10.0),
            (Self::Day(cells), Cell::Empty) => cells.append_null(),
            (Self::Day(cells), Cell::Day(day)) => cells.append_value(days(day)),
            (Self::Time(cells), Cell::Empty) => cells.append_null(),
            (Self::Time(cells), Cell::Time(time)) => {
                let seconds = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60;
                let of_day = (seconds + i64::from(time.second())) * 1_000_000;
                cells.append_value(i64::from(days(time.date())) * MICROS_A_DAY + of_day);
            }
            (Self::Text(cells), Cell::Empty) => cells.append_null(),
            (Self::Text(cells), Cell::Text(text)) => cells.append_value(text),
            (_, cell) => panic!("a cell of its column's kind, came {cell:?}"),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Whole(cells) => Arc::new(cells.finish()),
            Self::Number(cells) => Arc::new(cells.finish()),
            Self::Day(cells) => Arc::new(cells.finish()),
            Self::Time(cells) => Arc::new(cells.finish()),
            Self::Text(cells) => Arc::new(cells.finish()),
        }
    }
}

/// Days since 1970.
fn days(day: Date) -> i32 {
    EPOCH.until(day).expect("both are days").get_days()
}
