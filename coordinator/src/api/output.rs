//! A site's output on its way in: written and hashed as it comes, checked against what it claims to
//! be, made durable, then decided. An update is never in memory as a whole.

use super::{own_fault, status};
use crate::clock::now;
use crate::hub::Hub;
use crate::store::{Blobs, Incoming};
use crate::study::StudyState;
use consilium_common::evaluation::histogram::{self, Histogram};
use consilium_common::id::{Digest, SiteName};
use consilium_common::model::blob::{self, UpdateHeader};
use consilium_proto::v1::output_header::Output;
use consilium_proto::v1::{self as wire, output_part};
use tonic::{Status, Streaming};

/// The largest histogram, bytes.
const HISTOGRAM_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The most bytes that an output of this kind can have.
pub(super) fn length_max(state: &StudyState, kind: &Output) -> u64 {
    match kind {
        Output::Round(_) => {
            let parameters = state.study.architecture().parameters() as u64;
            parameters * 4 + blob::HEADER_MAX as u64
        }
        Output::Grouping(_) => HISTOGRAM_BYTES_MAX,
    }
}

/// Bytes that came.
pub(super) struct Received {
    incoming: Incoming,
    /// As many of the first ones as a header may have.
    start: Vec<u8>,
}

/// Takes exactly `length` bytes.
pub(super) async fn receive(
    blobs: &Blobs,
    parts: &mut Streaming<wire::OutputPart>,
    length: u64,
) -> Result<Received, Status> {
    let fault = |e: crate::store::StoreError| status(e.into());
    let mut incoming = super::blocking(|| blobs.incoming()).map_err(fault)?;
    let mut start = Vec::new();
    while let Some(part) = parts.message().await? {
        let Some(output_part::Part::Bytes(bytes)) = part.part else {
            return Err(Status::invalid_argument("output: expected bytes"));
        };
        if incoming.length() + bytes.len() as u64 > length {
            return Err(Status::invalid_argument("output: more bytes than the header says"));
        }
        let room = blob::HEADER_MAX - start.len();
        start.extend_from_slice(&bytes[..room.min(bytes.len())]);
        super::blocking(|| incoming.write(&bytes)).map_err(fault)?;
    }
    if incoming.length() == length {
        Ok(Received { incoming, start })
    } else {
        let came = incoming.length();
        Err(Status::invalid_argument(format!("output: {came} bytes, the header says {length}")))
    }
}

/// Checks what came against what it claims to be, makes it durable, then decides.
pub(super) fn accept(
    hub: &Hub,
    site: &SiteName,
    state: &StudyState,
    kind: &Output,
    output: Digest,
    received: Received,
) -> Result<(), Status> {
    let Received { incoming, start } = received;
    if incoming.digest() != output {
        return Err(Status::data_loss("output: the bytes do not have the digest that the header says"));
    }
    match kind {
        Output::Round(round) => check_update(site, state, *round, &start, incoming.length())?,
        Output::Grouping(grouping) => {
            let bytes = std::fs::read(incoming.path()).map_err(|e| own_fault(&e))?;
            check_histogram(site, state, grouping, &bytes)?;
        }
    }
    let decide = |state: &StudyState, now| match kind {
        Output::Round(round) => state.decide_update(site, *round, output, now),
        Output::Grouping(grouping) => state.decide_histogram(site, grouping, output, now),
    };
    // Asked before the bytes get their name, so that a refused output leaves nothing.
    decide(state, now()).map_err(|e| status(e.into()))?;
    incoming.keep().map_err(|e| status(e.into()))?;
    hub.change_study(&state.study.digest, decide).map_err(status)
}

fn check_update(
    site: &SiteName,
    state: &StudyState,
    round: u32,
    start: &[u8],
    length: u64,
) -> Result<(), Status> {
    let wrong = |what: String| Status::invalid_argument(format!("update.invalid: {what}"));
    let (header, _) = blob::decode_header::<UpdateHeader>(start, length).map_err(|e| wrong(e.to_string()))?;
    let expected = state.study.architecture().parameters();
    if header.parameters != expected {
        return Err(wrong(format!("expected {expected} parameters, came {}", header.parameters)));
    }
    if header.site != *site || header.study != state.study.digest || header.round != round {
        return Err(wrong(format!(
            "the header is for site {}, study {}, round {}",
            header.site,
            header.study,
            u64::from(header.round) + 1
        )));
    }
    let model = usize::try_from(round).ok().and_then(|r| state.models.get(r));
    if model != Some(&header.model) {
        return Err(wrong(format!(
            "round {}: update is for model {}",
            u64::from(round) + 1,
            header.model.short()
        )));
    }
    Ok(())
}

fn check_histogram(site: &SiteName, state: &StudyState, grouping: &str, bytes: &[u8]) -> Result<(), Status> {
    let wrong = |what: String| Status::invalid_argument(format!("histogram.invalid: {what}"));
    let histogram: Histogram = serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))?;
    let cells = histogram::groupings(&state.study)
        .into_iter()
        .find(|g| g.name == grouping)
        .map(|g| g.cells(state.study.evaluation.bin_edges.len() + 1));
    if cells != Some(histogram.cells.len()) {
        return Err(wrong(format!("expected {cells:?} cells, came {}", histogram.cells.len())));
    }
    let fits = histogram.schema == "histogram/1"
        && histogram.site == *site
        && histogram.study == state.study.digest
        && histogram.grouping == grouping
        && Some(&histogram.model) == state.models.last();
    if fits { Ok(()) } else { Err(wrong("it is for another study, site, model or grouping".into())) }
}
