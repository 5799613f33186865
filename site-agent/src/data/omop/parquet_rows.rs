//! A Parquet file as batches of parsed cells: only the columns that are asked for are read and unpacked.
//!
//! Types are the file's own, not those of an embedded Arrow schema, so that a column has few possible forms
//! (no dictionaries, views or zones of the writing program).

use super::cells::{self, Batch, Cell, Cells, Column, Kind, Limits};
use super::csv_rows::places;
use super::error::{BadRow, InvalidOmop};
use super::moment::{Day, Moment};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Float32Type,
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{Compression, Type as Physical};
use std::fs::File;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MICROS_A_DAY: i64 = 86_400_000_000;

/// A file whose footer is read and whose columns are found.
pub(super) struct Opened {
    path: PathBuf,
    metadata: ArrowReaderMetadata,
    kinds: Vec<Kind>,
    /// For each column that was asked for, its place in the file.
    places: Vec<Option<usize>>,
}

/// Reads the footer.
pub(super) fn open(path: &Path, columns: &[Column]) -> Result<Opened, InvalidOmop> {
    let file = File::open(path).map_err(InvalidOmop::unreadable(path))?;
    let metadata =
        guarded(|| load(&file)).ok_or_else(|| InvalidOmop::NotParquet { path: path.to_owned() })?;
    let header: Vec<String> =
        metadata.schema().fields().iter().map(|field| field.name().trim().to_lowercase()).collect();
    let mut places = places(path, &header, columns)?;
    for (column, place) in columns.iter().zip(&mut places) {
        let Some(at) = *place else { continue };
        let field = metadata.schema().field(at);
        if suits(column.kind, field.data_type()) {
            continue;
        }
        if column.kind == Kind::Unit || is_all_null(&metadata, at) {
            // R and pandas give a column without any value a type of their own choice; and what is no text names no unit.
            *place = None;
        } else {
            let name =
                column.names.iter().find(|name| **name == header[at]).expect("found by one of its names");
            return Err(InvalidOmop::ColumnType {
                path: path.to_owned(),
                column: name,
                expected: column.kind.words(),
                found: field.data_type().to_string(),
            });
        }
    }
    check_codecs(path, &metadata)?;
    let kinds = columns.iter().map(|column| column.kind).collect();
    Ok(Opened { path: path.to_owned(), metadata, kinds, places })
}

/// Times of 96 bits (Spark, Impala) are read as microseconds: in nanoseconds the year 9999 wraps around to one that
/// looks sound.
fn load(file: &File) -> Option<ArrowReaderMetadata> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let loaded = ArrowReaderMetadata::load(file, options.clone()).ok()?;
    let leaves = loaded.parquet_schema();
    let is_96 = |at: usize| {
        let mut of_root = (0..leaves.num_columns()).filter(|leaf| leaves.get_column_root_idx(*leaf) == at);
        of_root.next().is_some_and(|leaf| leaves.column(leaf).physical_type() == Physical::INT96)
    };
    let fields: Vec<Arc<Field>> = loaded
        .schema()
        .fields()
        .iter()
        .enumerate()
        .map(|(at, field)| match field.data_type() {
            DataType::Timestamp(_, zone) if is_96(at) => {
                let micros = DataType::Timestamp(TimeUnit::Microsecond, zone.clone());
                Arc::new(field.as_ref().clone().with_data_type(micros))
            }
            _ => Arc::clone(field),
        })
        .collect();
    if loaded.schema().fields().iter().eq(fields.iter()) {
        return Some(loaded);
    }
    let options = options.with_schema(Arc::new(Schema::new(fields)));
    ArrowReaderMetadata::try_new(Arc::clone(loaded.metadata()), options).ok()
}

/// Whether the footer says that a column has no value at all.
fn is_all_null(metadata: &ArrowReaderMetadata, at: usize) -> bool {
    let leaves = metadata.parquet_schema();
    let Some(leaf) = (0..leaves.num_columns()).find(|leaf| leaves.get_column_root_idx(*leaf) == at) else {
        return false;
    };
    metadata.metadata().row_groups().iter().all(|group| {
        let nulls = group.column(leaf).statistics().and_then(|statistics| statistics.null_count_opt());
        nulls == u64::try_from(group.num_rows()).ok()
    })
}

fn check_codecs(path: &Path, metadata: &ArrowReaderMetadata) -> Result<(), InvalidOmop> {
    for column in metadata.metadata().row_groups().iter().flat_map(|group| group.columns()) {
        let codec = match column.compression() {
            Compression::BROTLI(_) => "brotli",
            Compression::LZO => "lzo",
            _ => continue,
        };
        return Err(InvalidOmop::Codec { path: path.to_owned(), codec });
    }
    Ok(())
}

impl Opened {
    /// Whether the file has a column that was asked for, by its place there, in a type that is read.
    pub(super) fn has(&self, column: usize) -> bool {
        self.places[column].is_some()
    }

    /// For each column that was asked for its name in the file and its type.
    #[cfg(feature = "warehouse")]
    pub(super) fn fields(&self) -> Vec<Option<(String, DataType)>> {
        let fields = self.metadata.schema().fields();
        let field = |at: usize| (fields[at].name().clone(), fields[at].data_type().clone());
        self.places.iter().map(|place| place.map(field)).collect()
    }

    /// How many rows the footer says there are.
    pub(super) fn rows(&self) -> u64 {
        self.row_groups().last().map_or(0, |(before, rows)| before + rows)
    }

    /// Row groups together with the number of rows before each.
    pub(super) fn row_groups(&self) -> Vec<(u64, u64)> {
        let mut before = 0;
        let mut groups = Vec::new();
        for group in self.metadata.metadata().row_groups() {
            let rows = u64::try_from(group.num_rows()).unwrap_or(0);
            groups.push((before, rows));
            before += rows;
        }
        groups
    }

    /// Gives every batch of some row groups to `take`.
    pub(super) fn read(
        &self,
        groups: Range<usize>,
        take: &mut dyn FnMut(&Batch) -> Result<(), InvalidOmop>,
    ) -> Result<(), InvalidOmop> {
        let file = File::open(&self.path).map_err(InvalidOmop::unreadable(&self.path))?;
        let mut row = self.row_groups().get(groups.start).map_or(0, |(before, _)| *before) + 1;
        let damaged = |row| InvalidOmop::Row { path: self.path.clone(), row, what: BadRow::Damaged };
        let mut reader = guarded(|| self.reader(file, groups)).ok_or_else(|| damaged(row))?;
        let mut batch = Batch {
            rows: 0,
            columns: self
                .kinds
                .iter()
                .zip(&self.places)
                .map(|(kind, place)| place.map_or(Cells::Absent, |_| Cells::new(*kind)))
                .collect(),
        };
        loop {
            let next = guarded(|| match reader.next() {
                None => Some(None),
                Some(found) => found.ok().map(Some),
            });
            let Some(found) = next.ok_or_else(|| damaged(row))? else { return Ok(()) };
            self.convert(&found, &mut batch).ok_or_else(|| damaged(row))?;
            take(&batch)?;
            row += batch.rows as u64;
        }
    }

    fn reader(&self, file: File, groups: Range<usize>) -> Option<ParquetRecordBatchReader> {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        let roots = self.places.iter().flatten().copied();
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let limits = Limits::of_kinds(self.kinds.iter().copied());
        let builder = builder.with_projection(mask).with_batch_size(limits.batch_rows);
        builder.with_row_groups(groups.collect()).build().ok()
    }

    /// None where an array is not what the footer said.
    fn convert(&self, found: &RecordBatch, batch: &mut Batch) -> Option<()> {
        // The columns that were read, in the order of the file.
        let mut read: Vec<usize> = self.places.iter().flatten().copied().collect();
        read.sort_unstable();
        read.dedup();
        let array = |place: &usize| found.columns().get(read.binary_search(place).ok()?);
        let arrays = self.places.iter().map(|place| match place {
            None => Some(None),
            Some(place) => array(place).map(Some),
        });
        refill(batch, found.num_rows(), &arrays.collect::<Option<Vec<_>>>()?)
    }
}

/// Puts other rows into a batch, by an array for each column that is there. None where an array is not what its column can be
/// made from.
pub(super) fn refill(batch: &mut Batch, rows: usize, arrays: &[Option<&ArrayRef>]) -> Option<()> {
    batch.rows = rows;
    for (cells, array) in batch.columns.iter_mut().zip(arrays) {
        let Some(array) = array else { continue };
        cells.clear();
        fill(cells, array)?;
        let complete = match cells {
            Cells::Absent => true,
            Cells::Ids(cells) | Cells::Units(cells) => cells.len() == batch.rows,
            Cells::Numbers(cells) => cells.len() == batch.rows,
            Cells::Moments(cells, _) => cells.len() == batch.rows,
            Cells::Texts(cells) => cells.len() == batch.rows,
            Cells::Privates(cells) => cells.len() == batch.rows,
        };
        complete.then_some(())?;
    }
    Some(())
}

/// A library that panics on a damaged file is one more way of saying so. What it panicked with is not shown:
/// it may quote the file.
pub(super) fn guarded<T>(work: impl FnOnce() -> Option<T>) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok().flatten()
}

fn suits(kind: Kind, found: &DataType) -> bool {
    use DataType::{
        Binary, Date32, Date64, Decimal32, Decimal64, Decimal128, Float32, Float64, Int8, Int16, Int32,
        Int64, Null, Timestamp, UInt8, UInt16, UInt32, UInt64, Utf8,
    };
    match found {
        // Binary without a meaning is how old programs write text.
        Utf8 | Binary | Null => true,
        Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 => {
            matches!(kind, Kind::Id | Kind::Number | Kind::Text)
        }
        Float32 | Float64 | Decimal32(..) | Decimal64(..) | Decimal128(..) => {
            matches!(kind, Kind::Id | Kind::Number)
        }
        Date32 | Date64 => matches!(kind, Kind::Date | Kind::DateTime),
        Timestamp(unit, _) => matches!(kind, Kind::Date | Kind::DateTime) && *unit != TimeUnit::Second,
        _ => false,
    }
}

fn fill(cells: &mut Cells, array: &ArrayRef) -> Option<()> {
    match array.data_type() {
        DataType::Null => (0..array.len()).for_each(|_| push_missing(cells)),
        DataType::Utf8 if matches!(cells, Cells::Units(_)) => units(cells, array)?,
        DataType::Utf8 => {
            texts(cells, array.as_string_opt::<i32>()?.iter().map(|text| text.map(str::as_bytes)))
        }
        DataType::Binary => {
            let array = array.as_binary_opt::<i32>()?;
            if array.iter().flatten().any(|text| std::str::from_utf8(text).is_err()) {
                return None;
            }
            texts(cells, array.iter());
        }
        _ => match cells {
            Cells::Absent => {}
            Cells::Ids(cells) => ids(cells, array)?,
            Cells::Numbers(cells) => numbers(cells, array)?,
            Cells::Moments(cells, days_only) => moments(cells, *days_only, array)?,
            Cells::Texts(texts) => {
                // Codes that are all digits, which a program took for numbers.
                let mut found = Vec::with_capacity(array.len());
                ids(&mut found, array)?;
                texts.extend(found.into_iter().map(|id| match id {
                    Cell::Is(id) => id.to_string(),
                    _ => String::new(),
                }));
            }
            Cells::Units(_) | Cells::Privates(_) => return None,
        },
    }
    Some(())
}

/// Units come in few texts, one after another alike.
fn units(cells: &mut Cells, array: &ArrayRef) -> Option<()> {
    let Cells::Units(cells) = cells else { return None };
    let mut last = ("", cells::unit(b""));
    for text in array.as_string_opt::<i32>()? {
        let text = text.unwrap_or_default();
        if text != last.0 {
            last = (text, cells::unit(text.as_bytes()));
        }
        cells.push(last.1);
    }
    Some(())
}

fn push_missing(cells: &mut Cells) {
    cells.push_text(b"");
}

fn texts<'a>(cells: &mut Cells, texts: impl Iterator<Item = Option<&'a [u8]>>) {
    texts.for_each(|text| cells.push_text(text.unwrap_or_default()));
}

fn ids(cells: &mut Vec<Cell<i64>>, array: &ArrayRef) -> Option<()> {
    match array.data_type() {
        DataType::Int64 => each::<Int64Type, _>(cells, array, Cell::Is),
        DataType::Int32 => each::<Int32Type, _>(cells, array, |id| Cell::Is(id.into())),
        DataType::Int16 => each::<Int16Type, _>(cells, array, |id| Cell::Is(id.into())),
        DataType::Int8 => each::<Int8Type, _>(cells, array, |id| Cell::Is(id.into())),
        DataType::UInt64 => {
            each::<UInt64Type, _>(cells, array, |id| i64::try_from(id).map_or(Cell::Bad, Cell::Is))
        }
        DataType::UInt32 => each::<UInt32Type, _>(cells, array, |id| Cell::Is(id.into())),
        DataType::UInt16 => each::<UInt16Type, _>(cells, array, |id| Cell::Is(id.into())),
        DataType::UInt8 => each::<UInt8Type, _>(cells, array, |id| Cell::Is(id.into())),
        // A column of whole numbers with gaps, as pandas writes it.
        DataType::Float64 => each::<Float64Type, _>(cells, array, whole),
        DataType::Float32 => each::<Float32Type, _>(cells, array, |id| whole(id.into())),
        DataType::Decimal128(_, scale) => {
            let scale = *scale;
            each::<Decimal128Type, _>(cells, array, |id| whole_decimal(id, scale))
        }
        DataType::Decimal64(_, scale) => {
            let scale = *scale;
            each::<Decimal64Type, _>(cells, array, |id| whole_decimal(id.into(), scale))
        }
        DataType::Decimal32(_, scale) => {
            let scale = *scale;
            each::<Decimal32Type, _>(cells, array, |id| whole_decimal(id.into(), scale))
        }
        _ => None,
    }
}

fn whole(id: f64) -> Cell<i64> {
    /// Beyond it a float does not hold every whole number.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if id.is_nan() {
        return Cell::Missing;
    }
    if id.fract() != 0.0 || id.abs() > EXACT {
        return Cell::Bad;
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole, and at most 2^53")]
    Cell::Is(id as i64)
}

fn whole_decimal(unscaled: i128, scale: i8) -> Cell<i64> {
    let factor = 10_i128.checked_pow(u32::from(scale.unsigned_abs()));
    let whole = match factor {
        Some(factor) if scale >= 0 => (unscaled % factor == 0).then(|| unscaled / factor),
        Some(factor) => unscaled.checked_mul(factor),
        None => None,
    };
    whole.and_then(|id| i64::try_from(id).ok()).map_or(Cell::Bad, Cell::Is)
}

fn numbers(cells: &mut Vec<Cell<f64>>, array: &ArrayRef) -> Option<()> {
    #[expect(clippy::cast_precision_loss, reason = "a value's nearest float, as its text would give")]
    match array.data_type() {
        DataType::Float64 => each::<Float64Type, _>(cells, array, cells::finite),
        // The number that was meant is the shortest that rounds to it: 36.6, not 36.599998.
        DataType::Float32 => each::<Float32Type, _>(cells, array, |number| {
            number.to_string().parse().map_or(Cell::Bad, cells::finite)
        }),
        DataType::Int64 => each::<Int64Type, _>(cells, array, |number| Cell::Is(number as f64)),
        DataType::UInt64 => each::<UInt64Type, _>(cells, array, |number| Cell::Is(number as f64)),
        DataType::Decimal128(_, scale) => {
            let scale = *scale;
            each::<Decimal128Type, _>(cells, array, |number| decimal(number, scale))
        }
        DataType::Decimal64(_, scale) => {
            let scale = *scale;
            each::<Decimal64Type, _>(cells, array, |number| decimal(number.into(), scale))
        }
        DataType::Decimal32(_, scale) => {
            let scale = *scale;
            each::<Decimal32Type, _>(cells, array, |number| decimal(number.into(), scale))
        }
        _ => {
            let mut whole = Vec::with_capacity(array.len());
            ids(&mut whole, array)?;
            cells.extend(whole.into_iter().map(|cell| match cell {
                Cell::Is(number) => Cell::Is(number as f64),
                Cell::Missing => Cell::Missing,
                Cell::Bad | Cell::OutOfYears => Cell::Bad,
            }));
            Some(())
        }
    }
}

/// The float nearest to a decimal, as its text would give.
fn decimal(unscaled: i128, scale: i8) -> Cell<f64> {
    format!("{unscaled}e{}", -i16::from(scale)).parse().map_or(Cell::Bad, cells::finite)
}

fn moments(cells: &mut Vec<Cell<Moment>>, days_only: bool, array: &ArrayRef) -> Option<()> {
    let by_micros = |micros: i64| {
        let moment = Moment::from_epoch_micros(micros);
        moment.map(|moment| if days_only { moment.to_day() } else { moment }).into()
    };
    match array.data_type() {
        DataType::Date32 => {
            each::<Date32Type, _>(cells, array, |days| Day::from_epoch_days(days).map(Moment::on).into())
        }
        DataType::Date64 => each::<Date64Type, _>(cells, array, |millis| {
            match i32::try_from(millis.div_euclid(MICROS_A_DAY / 1000)) {
                Ok(days) => Day::from_epoch_days(days).map(Moment::on).into(),
                Err(_) => Cell::OutOfYears,
            }
        }),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            each::<TimestampMillisecondType, _>(cells, array, |millis| by_micros(millis.saturating_mul(1000)))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            each::<TimestampMicrosecondType, _>(cells, array, by_micros)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            each::<TimestampNanosecondType, _>(cells, array, |nanos| by_micros(nanos.div_euclid(1000)))
        }
        _ => None,
    }
}

fn each<P: ArrowPrimitiveType, T: Clone>(
    cells: &mut Vec<Cell<T>>,
    array: &ArrayRef,
    convert: impl Fn(P::Native) -> Cell<T>,
) -> Option<()> {
    let array = array.as_primitive_opt::<P>()?;
    match array.nulls() {
        None => cells.extend(array.values().iter().map(|value| convert(*value))),
        Some(nulls) => cells.extend(
            array
                .values()
                .iter()
                .zip(nulls.iter())
                .map(|(value, there)| if there { convert(*value) } else { Cell::Missing }),
        ),
    }
    Some(())
}
