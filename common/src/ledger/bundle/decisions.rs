//! Who approved: `start.json` and `decisions/`.

use super::{Audit, Manifest};
use crate::id::SiteName;
use crate::protocol::{Approval, Decision, Start};
use crate::signed::Signed;
use crate::study::Study;
use std::collections::BTreeMap;

/// The approvals that the study started with.
pub(super) type Approvals = BTreeMap<SiteName, Signed<Approval>>;

impl Audit<'_> {
    /// Checks `start.json`: signed by the coordinator, one approval for each site that took part,
    /// each under the site's key on the roster.
    pub(super) fn start(&mut self, manifest: &Manifest, study: &Study) -> Approvals {
        const FILE: &str = "start.json";
        let mut approvals = Approvals::new();
        let Some(signed) = self.take_json::<Signed<Start>>(FILE) else { return approvals };
        let start = match signed.verify(&manifest.coordinator) {
            Ok(start) => start.into_inner(),
            Err(error) => {
                self.found_as("signature", FILE, error);
                return approvals;
            }
        };
        if start.study != study.digest {
            self.found(FILE, format!("starts study {}, the bundle is of {}", start.study, study.digest));
        }
        if start.coordinator != manifest.coordinator {
            self.found(
                FILE,
                format!("names the coordinator {}, expected {}", start.coordinator, manifest.coordinator),
            );
        }
        self.started = Some(start.time);
        for signed in start.approvals {
            if let Some(approval) = self.decision(FILE, &signed, study) {
                if approval.decision != Decision::Approve {
                    self.found(FILE, format!("{} declined", approval.site));
                }
                let site = approval.site;
                if approvals.insert(site.clone(), signed).is_some() {
                    self.found(FILE, format!("{site} is there twice"));
                }
            }
        }
        if !approvals.keys().eq(&manifest.sites) {
            let names = |sites: &[&SiteName]| sites.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(", ");
            let (started, listed) = (
                names(&approvals.keys().collect::<Vec<_>>()),
                names(&manifest.sites.iter().collect::<Vec<_>>()),
            );
            self.found(FILE, format!("starts with [{started}], bundle.json lists [{listed}]"));
        }
        approvals
    }

    /// Checks `decisions/SITE.json` of every site that decided; those that took part must be there
    /// with the approval of the start.
    pub(super) fn decisions(&mut self, manifest: &Manifest, study: &Study, approvals: &Approvals) {
        for roster in &study.sites {
            let file = format!("decisions/{}.json", roster.name);
            let takes_part = manifest.sites.contains(&roster.name);
            if !takes_part && !self.files.has(&file) {
                self.notes.push(format!("{} did not decide", roster.name));
                continue;
            }
            let Some(signed) = self.take_json::<Signed<Approval>>(&file) else { continue };
            let Some(approval) = self.decision(&file, &signed, study) else { continue };
            if approval.site != roster.name {
                self.found(&file, format!("the decision of {}", approval.site));
            }
            if takes_part && approvals.get(&roster.name).is_some_and(|approval| *approval != signed) {
                self.found(&file, "another statement than the one in start.json");
            }
            if !takes_part {
                let word = if approval.decision == Decision::Approve {
                    "approved but took no part"
                } else {
                    "declined"
                };
                self.notes.push(format!("{} {word}", roster.name));
            }
            self.decided.push(approval);
        }
    }

    /// A decision on this study, verified under the roster's key of the site that it names.
    fn decision(&mut self, file: &str, signed: &Signed<Approval>, study: &Study) -> Option<Approval> {
        let Some(roster) = study.sites.iter().find(|site| site.key == signed.key) else {
            self.found(file, format!("signed by {}, which is on no site's line of the roster", signed.key));
            return None;
        };
        let approval = match signed.verify(&roster.key) {
            Ok(approval) => approval.into_inner(),
            Err(error) => {
                self.found_as("signature", file, format!("{}: {error}", roster.name));
                return None;
            }
        };
        if approval.site != roster.name {
            self.found(file, format!("the key of {} signed as {}", roster.name, approval.site));
            return None;
        }
        if approval.study != study.digest || approval.study_id != study.id {
            self.found(
                file,
                format!("{} decided on {} ({})", approval.site, approval.study_id, approval.study),
            );
        }
        Some(approval)
    }
}
