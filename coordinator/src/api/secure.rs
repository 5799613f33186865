//! The stream of a site's secure sums: parts into whole messages on the way up, whole messages into
//! parts on the way down. What they say is not looked at here, only how long they are.

use super::{CHUNK_BYTES, digest, status};
use crate::hub::Hub;
use crate::secure::{DOWN_QUEUE, Down, Seat, Up, message_bytes_max};
use consilium_common::id::{Digest, SiteName};
use consilium_common::study::secure::Summed;
use consilium_proto::v1::{self as wire, secure_down, secure_open, secure_up};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

/// The largest part, bytes.
const PART_BYTES_MAX: usize = 1024 * 1024;
/// Whole messages of a site that wait; the next is not read from the network before.
const UP_QUEUE: usize = 1;
/// Parts on their way to a site.
const PART_QUEUE: usize = 4;

pub(super) type Parts = ReceiverStream<Result<wire::SecureDown, Status>>;

/// Takes a site's stream to the study that it wants to join.
pub(super) async fn join(
    hub: &Hub,
    site: SiteName,
    certificate: Digest,
    mut parts: Streaming<wire::SecureUp>,
) -> Result<Parts, Status> {
    let Some(secure_up::Part::Join(join)) = parts.message().await?.and_then(|first| first.part) else {
        return Err(Status::invalid_argument("secure.join: the first part says which study"));
    };
    let study = digest(&join.study)?;
    let (bytes_max, groupings) = hub
        .with_study(&study, |state| {
            state.check_joins(&site).map_err(|refusal| status(refusal.into()))?;
            let bytes_max = message_bytes_max(&state.study, &state.participants)
                .map_err(|refusal| Status::failed_precondition(format!("{}: {refusal}", refusal.rule())))?;
            Ok::<_, Status>((bytes_max, state.study.groupings()))
        })
        .map_err(status)??;
    let (up, from_site) = mpsc::channel(UP_QUEUE);
    let (to_site, down) = mpsc::channel(DOWN_QUEUE);
    let (out, response) = mpsc::channel(PART_QUEUE);
    tokio::spawn(read(parts, up, bytes_max));
    tokio::spawn(write(down, out, groupings));
    hub.lobby.put(study, site, Seat { certificate, down: to_site, up: from_site });
    // The driver lets go of the lobby once no sum is open: after that nobody would take this stream.
    if hub.with_study(&study, |state| state.summing().is_none()).map_err(status)? {
        drop(hub.lobby.take(&study));
    }
    hub.announce();
    Ok(ReceiverStream::new(response))
}

/// Ends when the site's side does, when it sends what no message is, or when nobody listens any more.
async fn read(mut parts: Streaming<wire::SecureUp>, up: mpsc::Sender<Up>, bytes_max: usize) {
    let mut message = Vec::new();
    while let Ok(Some(wire::SecureUp { part: Some(part) })) = parts.message().await {
        let whole = match part {
            secure_up::Part::Message(part) => {
                if part.bytes.len() > PART_BYTES_MAX || message.len() + part.bytes.len() > bytes_max {
                    tracing::warn!("secure.length: a message longer than any of this study");
                    return;
                }
                message.extend_from_slice(&part.bytes);
                if !part.last {
                    continue;
                }
                Up::Message(std::mem::take(&mut message))
            }
            secure_up::Part::Refused(rule) => Up::Refused(rule),
            secure_up::Part::Join(_) => return,
        };
        let refused = matches!(whole, Up::Refused(_));
        if up.send(whole).await.is_err() || refused {
            return;
        }
    }
}

/// Ends when the driver lets go of the site, after everything that it has said; or when the site is gone.
async fn write(
    mut down: mpsc::Receiver<Down>,
    out: mpsc::Sender<Result<wire::SecureDown, Status>>,
    groupings: Vec<String>,
) {
    use secure_down::Part;
    while let Some(next) = down.recv().await {
        let part = match next {
            Down::Message(bytes) => {
                if in_parts(&bytes, Part::Message, &out).await.is_err() {
                    return;
                }
                continue;
            }
            Down::Model(bytes) => {
                if in_parts(&bytes, Part::Model, &out).await.is_err() {
                    return;
                }
                continue;
            }
            Down::Open { number, summed } => {
                let sums = match summed {
                    Summed::Training => secure_open::Sums::Training(wire::SecureTraining {}),
                    Summed::Grouping(earmark) => {
                        let at = usize::try_from(earmark).expect("an index") - 1;
                        secure_open::Sums::Grouping(groupings[at].clone())
                    }
                };
                Part::Open(wire::SecureOpen { number, sums: Some(sums) })
            }
            Down::Share(slot) => Part::Share(wire::SecureShare { step: slot.step, attempt: slot.attempt }),
            Down::Refused { rule, why } => {
                let _ = out.send(Err(Status::failed_precondition(format!("{rule}: {why}")))).await;
                return;
            }
        };
        if out.send(Ok(wire::SecureDown { part: Some(part) })).await.is_err() {
            return;
        }
    }
}

async fn in_parts(
    bytes: &Arc<[u8]>,
    part: fn(wire::SecurePart) -> secure_down::Part,
    out: &mpsc::Sender<Result<wire::SecureDown, Status>>,
) -> Result<(), ()> {
    let last = bytes.len().div_ceil(CHUNK_BYTES) - 1;
    for (at, chunk) in bytes.chunks(CHUNK_BYTES).enumerate() {
        let chunk = wire::SecurePart { bytes: chunk.to_vec().into(), last: at == last };
        out.send(Ok(wire::SecureDown { part: Some(part(chunk)) })).await.map_err(drop)?;
    }
    Ok(())
}
