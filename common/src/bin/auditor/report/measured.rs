//! An audit of the mechanism beside what it claims, where one was given.

use super::Audited;
use consilium_common::report::audit::{self, Program};
use consilium_common::report::html::Html;

pub(super) fn section(audited: &Audited<'_>) -> Html {
    match (audited.audit, audited.sound) {
        (None, _) => Html::raw(
            "<section id=\"audit\"><h2>Audit of the mechanism</h2><p class=\"quiet\">None was given. Where the \
             project’s test <code>mechanism_audit</code> was run, <code>auditor report --audit FILE</code> shows \
             here the claimed ε beside the lower bound that it measured.</p></section>",
        ),
        // As of all figures: none beside records that do not hold together.
        (Some(_), None) => Html::raw(
            "<section id=\"audit\"><h2>Audit of the mechanism</h2><p class=\"warning\">One was given, and is not \
             shown: this bundle does not verify, so that there is no claim to hold it against.</p></section>",
        ),
        (Some(audit), Some(_)) => {
            let programs: Vec<Program> = audited.report.sites.iter().map(Program::of).collect();
            audit::section(audit, audited.study, &programs)
        }
    }
}
