//! What comes from sites: each message is the answer to what was asked last, or its sender is dropped.

use super::{Act, Ask, Conductor, Down, Live, SILENT, Stage};
use consilium_common::secagg::coordinator::Accepted;
use consilium_common::secagg::message::{
    MaskedInput, Message, SessionKey, Shares, SurvivorsSignature, Unmask,
};
use consilium_common::secagg::{InvalidMessage, Refusal, SiteIndex};

/// Why a site's message is not taken: its own fault.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Message(#[from] InvalidMessage),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("a message of site {0} over the stream of another")]
    OtherSite(SiteIndex),
    #[error("nothing of this kind was asked")]
    Unasked,
}

impl Fault {
    const fn rule(&self) -> &'static str {
        match self {
            Self::Message(_) => "secure.message",
            Self::Refused(refusal) => refusal.rule(),
            Self::OtherSite(_) => "secure.site",
            Self::Unasked => "secure.unasked",
        }
    }
}

impl Conductor {
    /// A site is on a new stream; one that it was on before is gone.
    #[must_use]
    pub fn joined(&mut self, site: SiteIndex, now_ms: u64) -> Vec<Act> {
        self.name_leaver(site);
        self.remove(site);
        self.live.insert(site, Live::default());
        self.settle(now_ms);
        self.done()
    }

    /// A site's stream broke.
    #[must_use]
    pub fn left(&mut self, site: SiteIndex, now_ms: u64) -> Vec<Act> {
        self.name_leaver(site);
        self.remove(site);
        self.settle(now_ms);
        self.done()
    }

    /// A site refused by a rule of its own.
    #[must_use]
    pub fn refused(&mut self, site: SiteIndex, rule: String, now_ms: u64) -> Vec<Act> {
        if self.live.contains_key(&site) {
            let name = self.name(site).clone();
            self.acts.push(Act::Ask(Ask::Declined { site: name, rule }));
            self.acts.push(Act::Cut(site));
            self.remove(site);
            self.settle(now_ms);
        }
        self.done()
    }

    /// A site's message.
    #[must_use]
    pub fn message(&mut self, site: SiteIndex, bytes: &[u8], now_ms: u64) -> Vec<Act> {
        if !self.live.contains_key(&site) {
            return self.done();
        }
        match self.take(site, bytes) {
            Ok(()) => self.settle(now_ms),
            Err(fault) => {
                let live = self.live.get_mut(&site).expect("looked up above");
                if live.owed > 0 {
                    // It was asked before the attempt was given up.
                    live.owed -= 1;
                } else {
                    self.drop_site(site, fault.rule(), &fault.to_string());
                    self.settle(now_ms);
                }
            }
        }
        self.done()
    }

    /// The deadline has passed: who has not answered is given up.
    #[must_use]
    pub fn late(&mut self, now_ms: u64) -> Vec<Act> {
        if self.deadline.is_some_and(|deadline| now_ms >= deadline) {
            self.deadline = None;
            if matches!(self.stage, Stage::Gathering) {
                self.gathered = true;
                self.gathered_late();
            } else {
                for site in &self.awaited.clone() | &self.awaited_shares.clone() {
                    self.drop_site(site, SILENT, "no answer within the deadline");
                }
                self.settle(now_ms);
            }
        }
        self.done()
    }

    fn take(&mut self, site: SiteIndex, bytes: &[u8]) -> Result<(), Fault> {
        // The kind follows the magic; a message that is shorter parses as none of them.
        let kind = bytes.get(4).copied().unwrap_or_default();
        let accepted = match (&mut self.stage, kind) {
            (Stage::Setup(setup), SessionKey::KIND) => {
                let message = SessionKey::from_bytes(bytes)?;
                own(site, message.site)?;
                setup.accept(&message)?
            }
            (Stage::Sharing(_, sharing), Shares::KIND) => {
                let message = Shares::from_bytes(bytes)?;
                own(site, message.site)?;
                sharing.accept(message)?
            }
            (Stage::Masking(_, inputs), MaskedInput::KIND) => {
                let message = MaskedInput::from_bytes(bytes)?;
                own(site, message.site)?;
                inputs.accept(&message)?
            }
            (Stage::Signing(_, surviving), SurvivorsSignature::KIND) => {
                let message = SurvivorsSignature::from_bytes(bytes)?;
                own(site, message.site)?;
                surviving.accept(&message)?
            }
            (Stage::Unmasking(revealing), Unmask::KIND) => {
                let message = Unmask::from_bytes(bytes)?;
                own(site, message.site)?;
                revealing.unmasking.accept(message)?
            }
            (Stage::Unmasking(revealing), Shares::KIND) => {
                let Some(next) = &mut revealing.next else { return Err(Fault::Unasked) };
                let message = Shares::from_bytes(bytes)?;
                own(site, message.site)?;
                next.accept(message)?;
                self.awaited_shares.remove(&site);
                return Ok(());
            }
            _ => return Err(Fault::Unasked),
        };
        match accepted {
            Accepted::New | Accepted::Again => self.awaited.remove(&site),
        };
        Ok(())
    }

    /// The site is dropped from the attempt, and its stream ended with the reason.
    pub(super) fn drop_site(&mut self, site: SiteIndex, rule: &str, why: &str) {
        if self.live.contains_key(&site) {
            let name = self.name(site).clone();
            self.acts.push(Act::Ask(Ask::Dropped { site: name, rule: rule.to_owned() }));
            self.send(site, Down::Refused { rule: rule.to_owned(), why: why.to_owned() });
            self.acts.push(Act::Cut(site));
            self.remove(site);
        }
    }

    /// A site that goes in the middle of an attempt which it is in is named.
    fn name_leaver(&mut self, site: SiteIndex) {
        let in_attempt = match self.stage {
            Stage::Gathering | Stage::Asking | Stage::Keeping(..) | Stage::Over => false,
            Stage::Setup(_)
            | Stage::Sharing(..)
            | Stage::Masking(..)
            | Stage::Signing(..)
            | Stage::Unmasking(_) => true,
        };
        if in_attempt && self.members.contains(&site) {
            let site = self.name(site).clone();
            self.acts.push(Act::Ask(Ask::Left { site }));
        }
    }

    fn remove(&mut self, site: SiteIndex) {
        self.live.remove(&site);
        self.members.remove(&site);
        self.awaited.remove(&site);
        self.awaited_shares.remove(&site);
    }
}

fn own(stream: SiteIndex, message: SiteIndex) -> Result<(), Fault> {
    if stream == message { Ok(()) } else { Err(Fault::OtherSite(message)) }
}
