//! Which release of the source examples were extracted from, and what was asked of it, in words.

use crate::data::lines::{Line, Lines};
use crate::data::omop::postgres::CDM_SOURCE;
use crate::data::omop::warehouse_folder;
use consilium_common::study::{SplitBy, Study, TableData};
use jiff::Timestamp;
use std::fs::{self, File, Metadata};
use std::io;
use std::path::Path;

/// Most files that are named one by one; of more, the first.
const FILES_MAX: usize = 1000;

/// What examples come from. For the site's own screen and, as commitments, the ledger.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// Which release of the source, one line each: [`source_release`], or what a database says of itself.
    pub source: Vec<String>,
    /// What was asked of it, one line each.
    pub queries: Vec<String>,
}

/// The release of files: of a folder with `cdm_source.csv` what that says, and of each file its name, length and when it was
/// changed, which is all that tells releases of plain files apart. One line each.
///
/// # Privacy
/// A length in bytes tells of data: this is for the site's own screen and, as a commitment, the ledger.
///
/// # Errors
/// The source cannot be looked at.
pub fn source_release(path: &Path) -> io::Result<Vec<String>> {
    let metadata = fs::metadata(path)?;
    if metadata.is_file() {
        let mut lines = vec![of_file(path, &metadata)?];
        // Tables behind an engine are those of their folder.
        if let Some(folder) = warehouse_folder(path).map_err(io::Error::other)? {
            lines.extend(source_release(&folder)?);
        }
        return Ok(lines);
    }
    let mut lines = Vec::new();
    let mut files = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(&folder)? {
            let item = item?.path();
            // A link is what it leads to; one that leads nowhere is no file of the source.
            match fs::metadata(&item) {
                Ok(found) if found.is_dir() => folders.push(item),
                Ok(found) => files.push((item, found)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            if files.len() + folders.len() > FILES_MAX {
                folders.clear();
                break;
            }
        }
    }
    files.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (file, metadata) in &files {
        let name = file.file_name().map(|name| name.to_string_lossy().to_lowercase());
        if name.as_deref() == Some("cdm_source.csv") {
            lines.extend(cdm_source(File::open(file)?)?);
        }
        lines.push(of_file(file.strip_prefix(path).unwrap_or(file), metadata)?);
    }
    Ok(lines)
}

fn of_file(name: &Path, metadata: &Metadata) -> io::Result<String> {
    let changed = Timestamp::try_from(metadata.modified()?).map_err(io::Error::other)?;
    Ok(format!("{}, {} bytes, changed {changed:.0}", name.display(), metadata.len()))
}

/// The first row of the table, by the names in its header.
fn cdm_source(file: impl io::Read) -> io::Result<Vec<String>> {
    let mut lines = Lines::new(file);
    let (Some((_, Line::Cells(header))), Some((_, Line::Cells(cells)))) = (lines.next()?, lines.next()?)
    else {
        return Ok(Vec::new());
    };
    let text = |cell: &[u8]| String::from_utf8_lossy(cell).trim().to_lowercase();
    let told = CDM_SOURCE.iter().filter_map(|name| {
        let at = header.iter().position(|cell| text(cell) == *name)?;
        let cell = String::from_utf8_lossy(cells.get(at)?).trim().to_owned();
        (!cell.is_empty()).then(|| format!("{name} {cell}"))
    });
    Ok(told.collect())
}

/// What a study asks of a plain table: its columns, no ids and no rows.
#[must_use]
pub fn queries_of_table(study: &Study, table: &TableData) -> Vec<String> {
    let mut columns = vec![table.person_id.as_str()];
    columns.extend(table.outcomes.iter().map(|outcome| outcome.column.as_str()));
    columns.extend(table.features.iter().map(|feature| feature.column.as_str()));
    columns.extend(table.attributes.iter().map(String::as_str));
    if let SplitBy::Column { column, .. } = &study.split.by {
        columns.push(column);
    }
    vec![format!("table: {}", columns.join(", "))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use consilium_common::study::Data;

    #[test]
    fn a_folder_is_told_by_its_own_words_and_its_files() {
        let folder = tempfile::tempdir().expect("folder");
        let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
        put("person.csv", "person_id\n1\n");
        put(
            "CDM_SOURCE.csv",
            "cdm_source_name,cdm_holder,source_release_date,vocabulary_version\nA hospital,\"x, y\",2026-01-31,v5.0 27-FEB-25\n",
        );
        let lines = source_release(folder.path()).expect("read");
        assert_eq!(
            lines[..3],
            [
                "cdm_source_name A hospital",
                "source_release_date 2026-01-31",
                "vocabulary_version v5.0 27-FEB-25"
            ]
        );
        assert!(
            lines[3].starts_with("CDM_SOURCE.csv, ")
                && lines[4].starts_with("person.csv, 12 bytes, changed 20")
        );
        assert_eq!(lines, source_release(folder.path()).expect("read"), "the same again");
        put("person.csv", "person_id\n1\n2\n");
        assert_ne!(lines, source_release(folder.path()).expect("read"));
        let file = source_release(&folder.path().join("person.csv")).expect("read");
        assert!(file.len() == 1 && file[0].contains("person.csv, 14 bytes"), "{file:?}");
        assert!(source_release(&folder.path().join("none")).is_err());
    }

    #[test]
    fn a_table_is_told_by_its_columns() {
        let study = crate::testing::study(&[]);
        let Data::Table(table) = &study.data else { panic!("of a table") };
        let [line] = &queries_of_table(&study, table)[..] else { panic!("one table") };
        assert!(line.starts_with("table: person_id, readmitted_30d, age, bmi"), "{line}");
    }
}
