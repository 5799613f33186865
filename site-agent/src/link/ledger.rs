//! What is said of ledgers: this site's own, and those of others that it witnesses.

use super::{
    CALL_TIMEOUT, CallError, Link, TASK_WAIT, TRANSFER_TIMEOUT, digest, failed, nonsense, printable, wait_ms,
    wire_digest, within,
};
use crate::witness::{Foreign, Said, Statement};
use consilium_common::id::{Digest, SiteName};
use consilium_proto::v1 as wire;
use prost::bytes::Bytes;
use std::time::Duration;

/// The largest ledger that is taken back, bytes.
const LEDGER_BYTES_MAX: usize = 1024 * 1024 * 1024;

impl Link {
    /// Asks for a cosignature on the ledger's checkpoint, with the entries that the coordinator does
    /// not keep yet; the line is unverified.
    ///
    /// # Errors
    /// The call failed.
    pub async fn cosign(
        &mut self,
        old_size: u64,
        proof: &[Digest],
        checkpoint: String,
        entries: Vec<Vec<u8>>,
    ) -> Result<String, CallError> {
        let consistency_proof = proof.iter().map(wire_digest).collect();
        let entries = entries.into_iter().map(Bytes::from).collect();
        let request = wire::CosignRequest { old_size, consistency_proof, checkpoint, entries };
        let request = within(CALL_TIMEOUT, request);
        Ok(self.federation.cosign(request).await.map_err(failed("Cosign"))?.into_inner().cosignature)
    }

    /// Waits up to [`TASK_WAIT`] for checkpoints of other sites; nothing in them is verified.
    ///
    /// # Errors
    /// The call failed.
    pub async fn next_witness(&mut self, known: Vec<(SiteName, u64)>) -> Result<Vec<Foreign>, CallError> {
        const CALL: &str = "NextWitness";
        let known =
            known.into_iter().map(|(site, size)| wire::WitnessedSize { site: site.to_string(), size });
        let request = wire::NextWitnessRequest { wait_ms: wait_ms(TASK_WAIT), known: known.collect() };
        let request = within(CALL_TIMEOUT + TASK_WAIT, request);
        let came = self.federation.next_witness(request).await.map_err(failed(CALL))?.into_inner();
        let foreign = |checkpoint: wire::ForeignCheckpoint| {
            Ok(Foreign {
                site: site(CALL, &checkpoint.site)?,
                note: checkpoint.checkpoint,
                old_size: checkpoint.old_size,
                proof: checkpoint
                    .consistency_proof
                    .iter()
                    .map(|hash| digest(CALL, hash))
                    .collect::<Result<_, _>>()?,
            })
        };
        came.checkpoints.into_iter().map(foreign).collect()
    }

    /// Says what this site thinks of other sites' checkpoints.
    ///
    /// # Errors
    /// The call failed.
    pub async fn submit_witness(&mut self, statements: Vec<Statement>) -> Result<(), CallError> {
        use wire::witness_statement::Said as WireSaid;
        let statement = |statement: Statement| wire::WitnessStatement {
            site: statement.site.to_string(),
            size: statement.size,
            said: Some(match statement.said {
                Said::Cosigned(line) => WireSaid::Cosignature(line),
                Said::Refused { rule, known } => WireSaid::Refused(wire::WitnessRefused { rule, known }),
            }),
        };
        let request =
            wire::SubmitWitnessRequest { statements: statements.into_iter().map(statement).collect() };
        let request = within(CALL_TIMEOUT, request);
        self.federation.submit_witness(request).await.map_err(failed("SubmitWitness"))?;
        Ok(())
    }

    /// Waits up to `wait` for what other sites say of this site's checkpoint; nothing is verified. The other
    /// answer is whether the coordinator knows nobody who could say anything now.
    ///
    /// # Errors
    /// The call failed.
    pub async fn fetch_witness(
        &mut self,
        size: u64,
        wait: Duration,
    ) -> Result<(Vec<Statement>, bool), CallError> {
        use wire::witness_statement::Said as WireSaid;
        const CALL: &str = "FetchWitness";
        let request = within(CALL_TIMEOUT + wait, wire::FetchWitnessRequest { size, wait_ms: wait_ms(wait) });
        let came = self.federation.fetch_witness(request).await.map_err(failed(CALL))?.into_inner();
        let statement = |statement: wire::WitnessStatement| {
            let said = match statement.said {
                Some(WireSaid::Cosignature(line)) => Said::Cosigned(line),
                Some(WireSaid::Refused(refused)) => {
                    Said::Refused { rule: printable(&refused.rule), known: refused.known }
                }
                None => return Err(nonsense(CALL, "a statement that is neither yes nor no".into())),
            };
            Ok(Statement { site: site(CALL, &statement.site)?, size: statement.size, said })
        };
        let alone = came.alone;
        let statements = came.statements.into_iter().map(statement).collect::<Result<_, _>>()?;
        Ok((statements, alone))
    }

    /// The copy of this site's own ledger that the coordinator keeps: the newest cosigned note and
    /// the entries; nothing is verified.
    ///
    /// # Errors
    /// The call failed, or more came than a ledger can have.
    pub async fn fetch_ledger(&mut self) -> Result<(String, Vec<Vec<u8>>), CallError> {
        use wire::kept_ledger_part::Part;
        const CALL: &str = "FetchLedger";
        let request = within(TRANSFER_TIMEOUT, wire::FetchLedgerRequest {});
        let mut parts = self.federation.fetch_ledger(request).await.map_err(failed(CALL))?.into_inner();
        let (mut note, mut entries, mut bytes) = (None, Vec::new(), 0);
        while let Some(part) = parts.message().await.map_err(failed(CALL))? {
            match part.part {
                Some(Part::Checkpoint(text)) if note.is_none() => note = Some(text),
                Some(Part::Entry(entry)) => {
                    bytes += entry.len();
                    if bytes > LEDGER_BYTES_MAX {
                        return Err(nonsense(CALL, format!("expected at most {LEDGER_BYTES_MAX} bytes")));
                    }
                    entries.push(entry.to_vec());
                }
                _ => return Err(nonsense(CALL, "expected one checkpoint, then entries".into())),
            }
        }
        Ok((note.ok_or_else(|| nonsense(CALL, "expected a checkpoint".into()))?, entries))
    }

    /// Hands over the ledger's files for the bundle.
    ///
    /// # Errors
    /// The call failed.
    pub async fn submit_ledger(
        &mut self,
        study: &Digest,
        files: Vec<(String, Vec<u8>)>,
    ) -> Result<(), CallError> {
        use wire::ledger_part::Part;
        let header = Part::Header(wire::LedgerHeader { study: wire_digest(study) });
        let files =
            files.into_iter().map(|(path, bytes)| Part::File(wire::LedgerFile { path, bytes: bytes.into() }));
        let parts = std::iter::once(header).chain(files).map(|part| wire::LedgerPart { part: Some(part) });
        let request = within(TRANSFER_TIMEOUT, tokio_stream::iter(parts));
        self.federation.submit_ledger(request).await.map_err(failed("SubmitLedger"))?;
        Ok(())
    }
}

fn site(call: &'static str, text: &str) -> Result<SiteName, CallError> {
    text.parse().map_err(|_| nonsense(call, "expected a site's name".into()))
}
